"""How many clusters? Three answers by K-Means, and the middle one of them.

- **silhouette**: the k whose clusters are best apart. Rousseeuw, Silhouettes, 1987.
- **elbow**: where the curve of the inertia bends most (`segmenter.analysis.knee`), on a logarithmic axis: otherwise the
  first groups, whose separation saves most, outweigh all later ones.
- **gap**: the gap of k is how far the log of its inertia lies below that of users spread evenly in the box along the
  principal axes. The answer is the smallest k whose gap is not below that of k + 1 less one standard error; the last k
  if there is none. If one cluster passes already, it is 1: there are no groups to find. Tibshirani, Walther and Hastie,
  Estimating the Number of Clusters in a Data Set via the Gap Statistic, 2001.

The middle one is the majority's where two agree, and no single rule can decide alone. Since at most one of the three,
the gap, can say 1, it is always one of the range.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from segmenter.analysis.algorithms import kmeans
from segmenter.analysis.knee import knee
from segmenter.analysis.points import SEED, Points, distinct, sample
from segmenter.analysis.scores import silhouette
from segmenter.errors import UsageError

MOST_USERS = 5_000
REFERENCES = 10
"""How many even spreads a gap is compared with."""

_STARTS = 5


class Candidate(NamedTuple):
    """One k: the inertia per user, and what the rules make of it."""

    k: int
    inertia: float
    silhouette: float | None
    """None for one cluster."""
    gap: float
    error: float
    """The standard error of the gap."""


class Choice(NamedTuple):
    """The answer of each rule, the middle one ``k``, and all that they were taken from."""

    silhouette: int
    elbow: int
    gap: int
    """1 if one cluster explains the users as well as more do."""
    k: int
    sample: int
    """The number of users that it was chosen by."""
    candidates: list[Candidate]


def candidates(lowest: int, highest: int) -> list[int]:
    """Every k that is tried: those of the range, and 1 and 2, which the gap needs.

    >>> candidates(4, 6)
    [1, 2, 4, 5, 6]
    """
    return sorted({1, 2, *range(lowest, highest + 1)})


def choose(points: Points, lowest: int, highest: int, advance: Callable[[int], None]) -> Choice:
    """The number of clusters from ``lowest`` (at least 2) to ``highest``; ``advance`` counts the candidates.

    Of more than `MOST_USERS` users, a sample of so many decides. Raises `UsageError` unless more of them differ than
    ``highest``.
    """
    some = points[sample(len(points), MOST_USERS)]
    different = len(distinct(some)[0])
    if different <= highest:
        raise UsageError(
            f"{highest:,} clusters need more than the {different:,} users who differ: end --choose-k lower."
        )
    random = np.random.default_rng(SEED)
    spreads = [_even_spread(some, random) for _ in range(REFERENCES)]
    tried = []
    for k in candidates(lowest, highest):
        tried.append(_candidate(some, spreads, k))
        advance(1)
    in_range = [each for each in tried if lowest <= each.k <= highest]
    best = max(in_range, key=lambda each: each.silhouette or -1.0).k
    bend, gap = by_elbow(tried, lowest), by_gap(tried, lowest)
    return Choice(best, bend, gap, statistics.median_low((best, bend, gap)), len(some), tried)


def _candidate(points: Points, spreads: list[Points], k: int) -> Candidate:
    labels, said = kmeans(points, k, _STARTS)
    inertia = said["inertia"]
    even = np.log([kmeans(spread, k, _STARTS)[1]["inertia"] for spread in spreads])
    error = float(even.std()) * (1.0 + 1.0 / len(spreads)) ** 0.5
    return Candidate(k, inertia, silhouette(points, labels), float(even.mean() - np.log(inertia)), error)


def _even_spread(points: Points, random: np.random.Generator) -> Points:
    """As many points, even in the box that holds all along their principal axes.

    They stay on these axes, since a rotation changes no distance.
    """
    centred = points - points.mean(axis=0)
    along = centred @ np.linalg.svd(centred, full_matrices=False)[2].T
    spread: Points = random.uniform(along.min(axis=0), along.max(axis=0), along.shape)
    return spread


def by_elbow(tried: list[Candidate], lowest: int) -> int:
    """The bend of the curve from one cluster on; the lowest of the range if it is before that."""
    bend = knee(np.array([float(each.k) for each in tried]), np.log([each.inertia for each in tried]))
    return max(lowest, tried[bend].k)


def by_gap(tried: list[Candidate], lowest: int) -> int:
    """The smallest k, 1 or in the range, that passes by the rule of one standard error; else the last of the range."""
    pairs = [pair for pair in pairwise(tried) if pair[0].k == 1 or pair[0].k >= lowest]
    passed = [one.k for one, after in pairs if one.gap >= after.gap - after.error]
    return passed[0] if passed else tried[-1].k
