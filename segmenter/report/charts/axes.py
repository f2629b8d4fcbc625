"""The axes of a chart of two features: which they are, their labels, limits and ticks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from segmenter.analysis.profiles.words import decimals
from segmenter.kinds import Feature
from segmenter.model.features import is_count
from segmenter.model.vectors import squeezed

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]


class Scale(NamedTuple):
    """A feature as an axis shows it: its label, and what a value is divided by."""

    label: str
    divisor: float


def scale_of(feature: Feature, currency: str) -> Scale:
    """How a feature is shown.

    >>> scale_of(Feature("mean_view_ms", "view_ms", "views_timed", "milliseconds"), "EUR")
    Scale(label='mean view duration, in seconds', divisor=1000.0)
    """
    words = feature.name.replace("_", " ")
    if feature.unit == "milliseconds":
        return Scale(f"{words.removesuffix(' ms')} duration, in seconds", 1_000.0)
    if feature.unit == "minor units":
        return Scale(f"{words}, in {currency}", 10.0 ** decimals(currency))
    return Scale(words, 1.0)


def axes_of(judging: Sequence[Feature], others: Sequence[Feature]) -> tuple[Feature, Feature | None]:
    """What is drawn against what: the first feature that counts events, and the last that does not, if there is one.

    Features that users are judged by come before ``others``.
    """
    across = next((feature for feature in (*judging, *others) if is_count(feature.name)), judging[0])
    for features in (judging, others):
        rest = [feature for feature in features if feature != across]
        if rest:
            return across, ([feature for feature in rest if not is_count(feature.name)] or rest)[-1]
    return across, None


def stretched(numbers: Numbers) -> Numbers:
    """The inverse of `squeezed`."""
    return np.copysign(np.expm1(np.abs(numbers)), numbers)


def limits(numbers: Numbers, margin: float) -> tuple[float, float]:
    """From just below 0, or the least number below it, to just above the largest."""
    low, high = squeezed(np.array([numbers.min(initial=0), numbers.max(initial=1)])) * 1.04
    return min(-margin, float(stretched(low))), float(stretched(high))


def plain_ticks(axis: Axis, numbers: Numbers, sparse: bool = False) -> None:
    """Label 0, 1 and what follows in steps that leave room for the numbers, few if ``sparse``; below 0 likewise."""
    low, high = float(-numbers.min(initial=0)), float(numbers.max(initial=1))
    largest = max(low, high)
    steps = (1, 2, 5) if largest < 1_000 else (1, 3) if largest < 100_000 else (1,)
    if sparse:
        steps = (1, 3) if largest < 100 else (1,)
    above = [tick for power in range(19) for step in steps if (tick := step * 10**power) <= largest]
    ticks = [-tick for tick in above if tick <= low] + [0] + [tick for tick in above if tick <= high]
    axis.set_ticks(ticks, labels=[f"{tick:,}" for tick in ticks])
