"""How good clusters are by themselves, and how much two clusterings agree. Noise is left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from segmenter.analysis.points import NOISE, Labels, Points, sample

MOST_USERS = 10_000
"""A silhouette compares each user with each other: of more users, it is that of a sample of so many."""


class Scores(NamedTuple):
    """Of clusters; None where there are not two of them, or each user is one."""

    silhouette: float | None
    """-1 to 1, the higher the better: how much nearer users are to their own cluster than to the next."""
    davies_bouldin: float | None
    """From 0, the lower the better: the spread of neighbouring clusters by the distance of their means."""
    calinski_harabasz: float | None
    """From 0, the higher the better: the variance between clusters by that within."""


class Compared(NamedTuple):
    """One of the clusterings that are compared."""

    name: str
    k: int
    """The number of its clusters."""
    noise: int
    """How many users are in none."""
    scores: Scores
    agreement: dict[str, float | None]
    """With each of them, itself among them."""


def compare(points: Points, clusterings: Mapping[str, Labels], advance: Callable[[int], None]) -> list[Compared]:
    """How good clusterings of the same users are, and how much each agrees with each; ``advance`` counts them."""
    compared = []
    for name, labels in clusterings.items():
        with_each = {other: agreement(labels, theirs) for other, theirs in clusterings.items()}
        clusters = np.unique(labels[labels != NOISE])
        compared.append(Compared(name, len(clusters), int((labels == NOISE).sum()), scores(points, labels), with_each))
        advance(1)
    return compared


def scores(points: Points, labels: Labels) -> Scores:
    """How good clusters are, on the scale of the points.

    References: Davies and Bouldin, A Cluster Separation Measure, 1979. Caliński and Harabasz, A Dendrite Method for
    Cluster Analysis, 1974.
    """
    from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score

    kept = labels != NOISE
    inside, clusters = points[kept], labels[kept]
    if not _can_be_rated(clusters):
        return Scores(None, None, None)
    between = float(davies_bouldin_score(inside, clusters)), float(calinski_harabasz_score(inside, clusters))
    return Scores(silhouette(points, labels), *between)


def silhouette(points: Points, labels: Labels) -> float | None:
    """The mean silhouette of the users, or of a sample of them; None where there is none.

    Reference: Rousseeuw, Silhouettes: A Graphical Aid to the Interpretation and Validation of Cluster Analysis, 1987.
    """
    from sklearn.metrics import silhouette_score

    rows = sample(len(points), MOST_USERS)
    rows = rows[labels[rows] != NOISE]
    return float(silhouette_score(points[rows], labels[rows])) if _can_be_rated(labels[rows]) else None


def agreement(one: Labels, other: Labels) -> float | None:
    """The adjusted Rand index: 1 for the same clusters, about 0 for clusters drawn by chance.

    Who is noise in either is left out; None if nobody remains.

    Reference: Hubert and Arabie, Comparing Partitions, 1985.

    >>> agreement(np.array([0, 0, 1, 1]), np.array([1, 1, 0, NOISE]))
    1.0
    """
    kept = (one != NOISE) & (other != NOISE)
    if not kept.any():
        return None
    _, rows = np.unique(one[kept], return_inverse=True)
    _, columns = np.unique(other[kept], return_inverse=True)
    both = np.bincount(rows * (int(columns.max()) + 1) + columns)
    together, in_one, in_other = _pairs(both), _pairs(np.bincount(rows)), _pairs(np.bincount(columns))
    everyone = _pairs(np.array([len(rows)]))
    by_chance = in_one * in_other / everyone if everyone else 0.0
    most = (in_one + in_other) / 2
    return (together - by_chance) / (most - by_chance) if most != by_chance else 1.0


def _pairs(counts: Labels) -> float:
    """How many pairs there are within groups of these sizes."""
    sizes = counts.astype(np.float64)
    return float((sizes * (sizes - 1)).sum() / 2)


def _can_be_rated(labels: Labels) -> bool:
    return 2 <= len(np.unique(labels)) < len(labels)
