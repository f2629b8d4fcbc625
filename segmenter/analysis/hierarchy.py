"""Hierarchical clustering by Ward's criterion, of any number of users.

Ward joins the two clusters that add least to the sum of squared distances to the means: for weights a and b whose means
are d apart, a b / (a + b) d². That needs only the weight and mean of each cluster, so a point with weight w is exactly
the same as w equal points.

- Equal users are one point with their number as its weight, which changes nothing.
- If more than `MOST_POINTS` then differ, K-Means first makes `MICRO_CLUSTERS` small clusters of them, and Ward joins
  these, each with its mean and its number of users. What is lost is only what K-Means joined before.

References: Ward, Hierarchical Grouping to Optimize an Objective Function, 1963. Murtagh, A Survey of Recent Advances in
Hierarchical Clustering Algorithms, 1983 (the chain of nearest neighbours).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segmenter.analysis.points import SEED, Labels, Points, distinct

MOST_POINTS = 20_000
MICRO_CLUSTERS = 2_000

_BATCH = 10_000

Merge = tuple[float, int, int]
"""What it adds to the sum of squares, and a point of each of the two clusters."""


def hierarchical(
    points: Points, k: int, most: int = MOST_POINTS, micro: int = MICRO_CLUSTERS
) -> tuple[Labels, dict[str, float]]:
    """The cluster of each point, of ``k``, and how many points Ward joined."""
    different, which, times = distinct(points)
    if len(different) <= most:
        return cut(ward(different, times), len(different), k)[which], {"joined": len(different)}
    from sklearn.cluster import MiniBatchKMeans

    fit = MiniBatchKMeans(micro, batch_size=_BATCH, init_size=_BATCH, n_init=1, random_state=SEED)
    small = fit.fit_predict(different, sample_weight=times)
    used, small = np.unique(small, return_inverse=True)
    weights = np.bincount(small, times)
    means = np.column_stack([np.bincount(small, times * column) / weights for column in different.T])
    return cut(ward(means, weights), len(used), k)[small][which], {"joined": len(used)}


def ward(points: Points, weights: NDArray[np.float64] | NDArray[np.int64]) -> list[Merge]:
    """All merges of points that differ, in an order in which each comes after those that made its clusters.

    From any cluster, step to its nearest one until two are nearest to each other; these are merged. Takes time that
    grows with the square of the number of points, and memory that grows with the number.
    """
    columns, mass, member = points.T.copy(), np.array(weights, dtype=np.float64), np.arange(len(points))
    merges: list[Merge] = []
    chain: list[int] = []
    count = len(points)
    while count > 1:
        if not chain:
            chain.append(0)
        at = chain[-1]
        cost = _cost(columns[:, :count], mass[:count], at)
        near = int(np.argmin(cost))
        if len(chain) < 2 or cost[chain[-2]] > cost[near]:
            chain.append(near)
            continue
        other = chain[-2]
        del chain[-2:]
        merges.append((float(cost[other]), int(member[at]), int(member[other])))
        both = mass[at] + mass[other]
        columns[:, at] += (columns[:, other] - columns[:, at]) * (mass[other] / both)
        mass[at] = both
        count -= 1
        columns[:, other], mass[other], member[other] = columns[:, count], mass[count], member[count]
        chain = [other if each == count else each for each in chain]
    return merges


def cut(merges: list[Merge], points: int, k: int) -> Labels:
    """The cluster of each of so many points after all merges but the ``k - 1`` that add most."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    made = sorted(merges, key=lambda merge: merge[0])[: points - k]
    _, one, other = zip(*made, strict=True) if made else ((), (), ())
    joined = coo_array((np.ones(len(made)), (one, other)), shape=(points, points))
    labels: Labels = connected_components(joined, directed=False)[1].astype(np.intp)
    return labels


def _cost(columns: Points, mass: NDArray[np.float64], at: int) -> NDArray[np.float64]:
    """What it would add to join each cluster with one."""
    cost = np.zeros(len(mass))
    for column in columns:
        difference = column - column[at]
        cost += difference * difference
    cost *= mass * mass[at] / (mass + mass[at])
    cost[at] = np.inf
    return cost
