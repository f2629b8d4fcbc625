"""DBSCAN and HDBSCAN, of any number of users: clusters are where users are dense, and who is in none is noise.

Of more than `MOST_USERS`, a sample of so many is clustered. Each other user joins the cluster of the nearest user of
the sample who can take others in, if that one is near enough: for DBSCAN, the nearest core point, within eps; for
HDBSCAN, the nearest user in a cluster, within the distance to this one's own ``min_samples``-th neighbour. Everybody
else is noise. Distances and counts are then those of the sample.

References: Ester, Kriegel, Sander and Xu, A Density-Based Algorithm for Discovering Clusters, 1996. Sander, Ester,
Kriegel and Xu, Density-Based Clustering in Spatial Databases, 1998 (twice as many samples as dimensions). Campello,
Moulavi and Sander, Density-Based Clustering Based on Hierarchical Density Estimates, 2013.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segmenter.analysis.knee import knee
from segmenter.analysis.points import NOISE, Labels, Points, sample
from segmenter.errors import UsageError

MOST_USERS = 20_000

_AT_ONCE = 256  # users whose distances to all of the sample are held in memory


def dbscan(
    points: Points, eps: float | None, min_samples: int | None, most: int = MOST_USERS
) -> tuple[Labels, dict[str, float]]:
    """The cluster of each point, and what was used.

    A core point has ``min_samples`` users within ``eps``, itself among them (default: twice the number of features).
    Core points within ``eps`` of each other are of one cluster, and who is within ``eps`` of one belongs to it. Without
    ``eps``, it is where the sorted distances to the ``min_samples``-th user bend most; raises `UsageError` if these are
    all 0.
    """
    rows = sample(len(points), most)
    some, needed = points[rows], _needed(points, min_samples, len(rows))
    distances = _distances(some, needed)
    if eps is None:
        eps = _bend(distances, needed)
    cores = distances <= eps
    labels = _everybody(points, rows, _grown(some, cores, eps), cores, np.full(len(rows), eps))
    return labels, {"eps": eps, "min_samples": needed, "sample": len(rows)}


def hdbscan(points: Points, min_samples: int | None, most: int = MOST_USERS) -> tuple[Labels, dict[str, float]]:
    """The cluster of each point, and what was used.

    A cluster has at least one user in a hundred, like a live segment, and at least ``min_samples`` (default: twice the
    number of features), the number that says how dense it is around somebody.
    """
    from sklearn.cluster import HDBSCAN

    rows = sample(len(points), most)
    some, needed = points[rows], _needed(points, min_samples, len(rows))
    least = max(2, needed, -(-len(rows) // 100))
    fit = HDBSCAN(min_cluster_size=least, min_samples=needed, algorithm="kd_tree", copy=True)
    of_sample = fit.fit_predict(some).astype(np.intp)
    labels = _everybody(points, rows, of_sample, of_sample != NOISE, _distances(some, needed))
    return labels, {"min_cluster_size": least, "min_samples": needed, "sample": len(rows)}


def _needed(points: Points, min_samples: int | None, users: int) -> int:
    needed = 2 * points.shape[1] if min_samples is None else min_samples
    if needed > users:
        raise UsageError(
            f"{users:,} users are too few, since it takes {needed:,} to be dense: set --min-samples lower, or wait."
        )
    return needed


def _distances(points: Points, count: int) -> NDArray[np.float64]:
    """How far it is from each point to the ``count``-th, itself the first."""
    from scipy.spatial import KDTree

    distances: NDArray[np.float64] = KDTree(points).query(points, k=[count])[0][:, 0]
    return distances


def _bend(distances: NDArray[np.float64], needed: int) -> float:
    rising = np.sort(distances[distances > 0])
    if not len(rising):
        raise UsageError(
            f"no eps stands out: as many as --min-samples, {needed:,}, are equal wherever one looks. Set --eps."
        )
    return float(rising[knee(np.arange(len(rising), dtype=np.float64), rising)])


def _grown(points: Points, cores: NDArray[np.bool_], eps: float) -> Labels:
    """The cluster of each point: from each core point in turn on to all that can be reached."""
    labels = np.full(len(points), NOISE, dtype=np.intp)
    cluster = 0
    for first in np.flatnonzero(cores):
        if labels[first] != NOISE:
            continue
        labels[first] = cluster
        front = np.array([first])
        while len(front):
            now, front = front[:_AT_ONCE], front[_AT_ONCE:]
            free = np.flatnonzero(labels == NOISE)
            found = free[_near(points[now], points[free], eps)]
            labels[found] = cluster
            front = np.concatenate((front, found[cores[found]]))
        cluster += 1
    return labels


def _near(some: Points, others: Points, eps: float) -> NDArray[np.bool_]:
    """Which of the others are within ``eps`` of any of some."""
    squares = np.zeros((len(some), len(others)))
    for one, other in zip(some.T, others.T, strict=True):
        difference = one[:, None] - other
        squares += difference * difference
    near: NDArray[np.bool_] = np.any(np.sqrt(squares) <= eps, axis=0)
    return near


def _everybody(
    points: Points,
    rows: NDArray[np.int64],
    of_sample: Labels,
    takes_in: NDArray[np.bool_],
    reach: NDArray[np.float64],
) -> Labels:
    """The labels of all: of the sample in ``rows``, and of those within reach of the nearest of it who takes in."""
    from scipy.spatial import KDTree

    labels = np.full(len(points), NOISE, dtype=np.intp)
    labels[rows] = of_sample
    others = np.setdiff1d(np.arange(len(points)), rows, assume_unique=True)
    if len(others) and takes_in.any():
        distances, nearest = KDTree(points[rows[takes_in]]).query(points[others])
        labels[others] = np.where(distances <= reach[takes_in][nearest], of_sample[takes_in][nearest], NOISE)
    return labels
