"""The watch for drift: users who no longer fit the model."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from river.drift import ADWIN


class Drift:
    """Detects that users no longer fit the model: their mean scaled distance from the centres has risen (ADWIN).

    >>> watch = Drift()
    >>> [batch for batch, distance in enumerate([1.0, 1.1] * 100 + [2.0, 2.1] * 100) if watch.update(distance)]
    [223]
    """

    @cached_property
    def _adwin(self) -> ADWIN:
        """Made when it is first needed: river imports scikit-learn and pandas, a second that most workers save."""
        from river.drift import ADWIN

        return ADWIN()  # type: ignore[no-untyped-call]

    def update(self, x: float) -> bool:
        """Take in the mean of one batch; True if it shows a rise. A fall is no reason to refit."""
        before = self._adwin.estimation
        self._adwin.update(x)  # type: ignore[no-untyped-call]
        return self._adwin.drift_detected and self._adwin.estimation > before
