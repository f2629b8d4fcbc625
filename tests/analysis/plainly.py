"""Planted groups, and scores written down as in the papers, from all distances."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Labels = NDArray[np.intp]


def blobs(users: int, groups: int, spread: float = 0.3, features: int = 4, seed: int = 1) -> tuple[Points, Labels]:
    """Points about well separated centres, a group for each, and the group of each point."""
    random = np.random.default_rng(seed)
    centres = np.array([[5.0 * ((group >> bit) & 1) for bit in range(features)] for group in range(groups)])
    of = random.integers(0, groups, users)
    return centres[of] + random.normal(0, spread, (users, features)), of


def distances(points: Points) -> Points:
    """Of each to each."""
    return np.sqrt(((points[:, None, :] - points[None, :, :]) ** 2).sum(axis=2))


def silhouette(points: Points, labels: Labels) -> float:
    """Rousseeuw 1987: (b - a) / max(a, b), 0 for who is alone."""
    apart, values = distances(points), []
    for at, own in enumerate(labels):
        others = (labels == own) & (np.arange(len(labels)) != at)
        if not others.any():
            values.append(0.0)
            continue
        a = apart[at, others].mean()
        b = min(apart[at, labels == other].mean() for other in set(labels.tolist()) - {own})
        values.append((b - a) / max(a, b))
    return float(np.mean(values))


def davies_bouldin(points: Points, labels: Labels) -> float:
    """Davies and Bouldin 1979: the mean over clusters of the largest (s_i + s_j) / d_ij."""
    clusters = sorted(set(labels.tolist()))
    means = {c: points[labels == c].mean(axis=0) for c in clusters}
    spreads = {c: np.linalg.norm(points[labels == c] - means[c], axis=1).mean() for c in clusters}
    worst = [
        max((spreads[i] + spreads[j]) / np.linalg.norm(means[i] - means[j]) for j in clusters if j != i)
        for i in clusters
    ]
    return float(np.mean(worst))


def calinski_harabasz(points: Points, labels: Labels) -> float:
    """Caliński and Harabasz 1974: (B / (k - 1)) / (W / (n - k))."""
    clusters = sorted(set(labels.tolist()))
    middle, n, k = points.mean(axis=0), len(points), len(clusters)
    between = sum((labels == c).sum() * ((points[labels == c].mean(axis=0) - middle) ** 2).sum() for c in clusters)
    within = sum(((points[labels == c] - points[labels == c].mean(axis=0)) ** 2).sum() for c in clusters)
    return float((between / (k - 1)) / (within / (n - k)))


def adjusted_rand(one: Labels, other: Labels) -> float:
    """Hubert and Arabie 1985, from every pair of points."""
    both = only_one = only_other = neither = 0
    for i, j in combinations(range(len(one)), 2):
        same_one, same_other = one[i] == one[j], other[i] == other[j]
        both += bool(same_one and same_other)
        only_one += bool(same_one and not same_other)
        only_other += bool(same_other and not same_one)
        neither += bool(not same_one and not same_other)
    below = (both + only_one) * (only_one + neither) + (both + only_other) * (only_other + neither)
    return 2 * (both * neither - only_one * only_other) / below


def same_groups(one: Labels, other: Labels) -> bool:
    """Whether two labellings differ in their numbers alone."""
    pairs = set(zip(one.tolist(), other.tolist(), strict=True))
    return len(pairs) == len(set(one.tolist())) == len(set(other.tolist()))
