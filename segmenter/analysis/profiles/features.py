"""The features of a segment's users, and how far they are from those of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from segmenter.analysis.profiles.sides import Sides
from segmenter.kinds import Feature
from segmenter.model.vectors import squeezed

if TYPE_CHECKING:
    import pandas as pd

ROUNDING = 1e-12
"""A spread below it is that of equal numbers."""


class Spread(msgspec.Struct, frozen=True):
    """One feature of some users; None where nobody has it, or for a deviation of a single one."""

    users: int
    """How many have it."""
    missing: int
    mean: float | None
    median: float | None
    deviation: float | None
    """The standard deviation, by n - 1."""
    lower_quartile: float | None
    upper_quartile: float | None
    typical: float | None
    """exp(m) - 1, where m is the mean of log(1 + x)."""


class FeatureProfile(msgspec.Struct, frozen=True):
    """One feature of the users of a segment and of those that they are compared with."""

    name: str
    unit: str
    inside: Spread
    outside: Spread
    difference: float | None
    """Cohen's d of log(1 + x); None without two users to take a spread from, or if none differ."""


def feature_profiles(users: pd.DataFrame, sides: Sides, features: Sequence[Feature]) -> list[FeatureProfile]:
    """Every feature, from one row a user with the columns ``label`` and the features (NaN: missing)."""
    within, without = sides.inside(users["label"]).to_numpy(), sides.outside(users["label"]).to_numpy()
    found = []
    for feature in features:
        values = users[feature.name].to_numpy(dtype=np.float64)
        one, other = values[within], values[without]
        found.append(FeatureProfile(feature.name, feature.unit, spread(one), spread(other), difference(one, other)))
    return found


def spread(values: NDArray[np.float64]) -> Spread:
    """What is typical of numbers, NaN left out.

    >>> spread(np.array([1.0, 3.0, np.nan])).mean, spread(np.array([1.0, 3.0, np.nan])).missing
    (2.0, 1)
    """
    known = values[~np.isnan(values)]
    missing = len(values) - len(known)
    if not len(known):
        return Spread(0, missing, None, None, None, None, None, None)
    lower, median, upper = [float(each) for each in np.quantile(known, [0.25, 0.5, 0.75])]
    deviation = float(known.std(ddof=1)) if len(known) > 1 else None
    middle = float(squeezed(known).mean())
    typical = float(np.copysign(np.expm1(abs(middle)), middle))
    return Spread(len(known), missing, float(known.mean()), median, deviation, lower, upper, typical)


def difference(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    """The difference of the means over the pooled standard deviation, on the scale of the live model: log(1 + x).

    NaN are left out. About 0.2 is called small, 0.5 medium, 0.8 large.

    Reference: Cohen, Statistical Power Analysis for the Behavioral Sciences, 1988.

    >>> difference(np.expm1([3.0, 4.0, 5.0]), np.expm1([1.0, 2.0, 3.0]))
    2.0
    """
    a, b = [squeezed(values[~np.isnan(values)]) for values in (one, other)]
    freedom = len(a) + len(b) - 2
    if not len(a) or not len(b) or freedom < 1:
        return None
    pooled = float(np.sqrt((((a - a.mean()) ** 2).sum() + ((b - b.mean()) ** 2).sum()) / freedom))
    return round(float(a.mean() - b.mean()) / pooled, 9) if pooled > ROUNDING else None
