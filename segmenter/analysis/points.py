"""Users as points, on the scale that a fit of the live model gives them, so that other algorithms see what it sees.

A feature is squeezed by log1p; a missing one stands at the mean of those who have it, taken after the squeeze; each is
divided by its standard deviation over all users. Points are centred, which changes no distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segmenter.model.census import Population, population, tally
from segmenter.model.vectors import MISSING, fixed

if TYPE_CHECKING:
    import pandas as pd

Points = NDArray[np.float64]
"""One row per user, one column per feature."""

Labels = NDArray[np.intp]
"""The number of each user's cluster, from 0; `NOISE` for users in none."""

NOISE = -1

SEED = 0
"""Of all that is drawn: the same users always give the same clusters."""


class Prepared(NamedTuple):
    """Users, ready to be clustered."""

    features: tuple[str, ...]
    vectors: NDArray[np.int64]
    """As the live model has them: log1p in fixed point, missing features marked."""
    population: Population
    points: Points


def prepare(users: pd.DataFrame, features: Sequence[str]) -> Prepared:
    """The points of users by the columns ``features`` (NaN: missing), in the order of the rows.

    >>> import pandas as pd
    >>> users = pd.DataFrame({"total_clicks": [0, 2, 2], "mean_view_ms": [float("nan"), 10.0, 1_000.0]})
    >>> prepare(users, ["total_clicks", "mean_view_ms"]).points.round(2).tolist()
    [[-1.41, 0.0], [0.71, -1.22], [0.71, 1.22]]
    """
    vectors = fixed(users[list(features)].to_numpy(dtype=np.float64, na_value=np.nan))
    everyone = population(tally(vectors, [0] * len(vectors)))
    points = np.empty(vectors.shape)
    for index, (fill, spread) in enumerate(zip(everyone.fill, everyone.scale, strict=True)):
        column = vectors[:, index]
        points[:, index] = (np.where(column == MISSING, fill, column) - fill) / spread
    return Prepared(tuple(features), vectors, everyone, points)


def distinct(points: Points) -> tuple[Points, Labels, NDArray[np.int64]]:
    """The points that differ, which of them each point is, and how often each is there.

    >>> different, which, times = distinct(np.array([[2.0], [1.0], [2.0]]))
    >>> different.tolist(), which.tolist(), times.tolist()
    ([[1.0], [2.0]], [1, 0, 1], [1, 2])
    """
    order = np.lexsort(points.T)
    ordered = points[order]
    begins = np.ones(len(points), dtype=bool)
    begins[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    which = np.empty(len(points), dtype=np.intp)
    which[order] = np.cumsum(begins) - 1
    return ordered[begins], which, np.bincount(which)


def sample(users: int, size: int) -> NDArray[np.int64]:
    """The rows of ``size`` users drawn from so many, in order; of all if there are no more."""
    if users <= size:
        return np.arange(users)
    return np.sort(np.random.default_rng(SEED).choice(users, size, replace=False))
