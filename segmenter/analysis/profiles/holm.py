"""Many tests at once: how small a p-value must be to mean something."""

from __future__ import annotations

from collections.abc import Sequence

SIGNIFICANT = 0.05


def holm(p_values: Sequence[float]) -> list[float]:
    """The corrected p-value of each test: the chance that any of those below 0.05 is a false find is at most 0.05.

    That holds however the tests depend on each other, as those of the values of one attribute do.

    Reference: Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.

    >>> holm([0.04, 0.01, 0.03])
    [0.06, 0.03, 0.06]
    """
    corrected = [1.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - rank)))
        corrected[index] = highest
    return corrected
