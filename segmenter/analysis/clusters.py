"""Clusters as people read them: ordered by engagement, named, and described by their typical user."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from segmenter.analysis.points import NOISE, Labels, Prepared
from segmenter.model.census import filled_mean, tally, typical
from segmenter.model.ranks import engagement

NOISE_NAME = "noise"


class Cluster(NamedTuple):
    """One cluster: the number of its users, their share of all, noise among them, and their typical features."""

    name: str
    users: int
    share: float
    typical: dict[str, float | None]
    """By feature, exp(m) - 1, where m is the mean of log(1 + x) over the users who have it; None if nobody has."""


class Described(NamedTuple):
    """The clusters of all users, the least engaged first."""

    clusters: list[Cluster]
    names: list[str]
    """The name of the cluster of each user."""


def describe(prepared: Prepared, labels: Labels, slugs: Sequence[str]) -> Described:
    """The clusters by rank, as the live model ranks its segments (`segmenter.model.ranks.engagement`).

    If there are as many as ``slugs``, these are their names; otherwise ``cluster 1`` is the least engaged one.
    """
    tallies = {label: each for label, each in tally(prepared.vectors, labels.tolist()).items() if label != NOISE}
    fill, scale = prepared.population.fill, prepared.population.scale
    means = {label: filled_mean(each, fill) for label, each in tallies.items()}
    order = sorted(tallies, key=lambda label: (engagement(means[label], prepared.features, scale), means[label]))
    names = list(slugs) if len(order) == len(slugs) else [f"cluster {rank}" for rank in range(1, len(order) + 1)]
    clusters = [
        Cluster(
            name, tallies[label].users, tallies[label].users / len(labels), typical(tallies[label], prepared.features)
        )
        for name, label in zip(names, order, strict=True)
    ]
    called = {NOISE: NOISE_NAME, **dict(zip(order, names, strict=True))}
    return Described(clusters, [called[label] for label in labels.tolist()])
