"""The arithmetic of K-Means: judging by frozen centres, Lloyd's step from a census, a fit from scratch.

Judging is element-wise float arithmetic in one fixed order, so that every machine and every batch split gives the same
segments. A Lloyd step needs no points: a census gives the mean of each segment and the gain of moving there. A few
extreme users neither get a segment of their own nor pull one along.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segmenter.model.census import Census, Tally, filled_mean, population, tally
from segmenter.model.generation import UNASSIGNED, Generation, Point, slugs_of
from segmenter.model.vectors import MISSING

LEAST_USERS = 5
"""The fewest users that a segment of a fit holds, once there are enough of them."""

LEAST_ONE_IN = 100
"""A segment of a fit holds at least one in this many users."""

_ROUNDS = 300  # Lloyd converges in some tens of rounds; with rounding errors it might never end


class Step(NamedTuple):
    """One Lloyd step."""

    centres: tuple[Point, ...]
    means: tuple[Point, ...]
    """The mean of each segment's users, also where the centre stays."""
    scale: Point
    fill: Point
    gain: float
    """What share of the inertia it saves, by this scale and fill, before anyone is judged again."""


class Fit(NamedTuple):
    """Centres found from scratch."""

    centres: tuple[Point, ...]
    inertia: float


def nearest(
    vectors: NDArray[np.int64], centres: Sequence[Point], scale: Point, fill: Point
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Each vector's nearest centre, the first of equally near ones, and its squared distance in scaled units."""
    filled = [np.where(column == MISSING, stand_in, column) for column, stand_in in zip(vectors.T, fill, strict=True)]
    weights = [1.0 / (spread * spread) for spread in scale]
    indices = np.zeros(len(vectors), dtype=np.intp)
    least = np.full(len(vectors), np.inf)
    for index, centre in enumerate(centres):
        distance = np.zeros(len(vectors))
        for column, coordinate, weight in zip(filled, centre, weights, strict=True):
            difference = column - coordinate
            distance += difference * difference * weight
        indices[distance < least] = index
        least = np.minimum(least, distance)
    return indices, least


def assign(vectors: NDArray[np.int64], generation: Generation) -> NDArray[np.intp]:
    """The index of the centre that each vector belongs to."""
    return nearest(vectors, generation.centres, generation.scale, generation.fill)[0]


def judge(vectors: NDArray[np.int64], generation: Generation | None) -> list[str]:
    """The slug of the segment that each vector belongs to; before the first generation, all are unassigned."""
    if generation is None:
        return [UNASSIGNED] * len(vectors)
    return slugs_of(generation, assign(vectors, generation).tolist())


def inertia(vectors: NDArray[np.int64], centres: Sequence[Point], scale: Point, fill: Point) -> float:
    """The sum of the squared scaled distances to the nearest centres."""
    return math.fsum(nearest(vectors, centres, scale, fill)[1].tolist())


def member_means(
    vectors: NDArray[np.int64], centres: tuple[Point, ...], scale: Point, fill: Point
) -> tuple[Point, ...]:
    """The mean of the vectors that belong to each centre; the centre itself where none does."""
    members = tally(vectors, nearest(vectors, centres, scale, fill)[0].tolist())
    return _means([members.get(index) for index in range(len(centres))], centres, fill)


def squared_distance(one: Point, other: Point, scale: Point) -> float:
    """The squared distance of two points in scaled units.

    >>> squared_distance((0.0, 0.0), (3.0, 8.0), (1.0, 2.0))
    25.0
    """
    return sum([((a - b) / spread) ** 2 for a, b, spread in zip(one, other, scale, strict=True)])


def least_users(users: int, k: int) -> int:
    """The fewest users that a segment of a fit must hold; while users are few, half of an equal part.

    >>> [least_users(users, k=3) for users in (3, 12, 30, 500, 5_000)]
    [1, 2, 5, 5, 50]
    """
    return max(1, min(LEAST_USERS, users // (2 * k)), -(-users // LEAST_ONE_IN))


def step(census: Census, generation: Generation, least: int = 0) -> Step:
    """The exact Lloyd step that a census implies: each centre moves to the mean of its users.

    Scale and fill become those of the whole population, and the gain is measured by them. A segment without users
    keeps its centre, and so does one in which fewer than ``least`` extreme users would be enough to pull the mean that
    far. Users of other slugs (unassigned ones) count only in scale and fill.
    """
    _, fill, scale = population(census)
    tallies = [census.get(slug) for slug in generation.slugs]
    means, centres = _means(tallies, generation.centres, fill), list(generation.centres)
    saved = left = 0.0
    for index, (part, mean) in enumerate(zip(tallies, means, strict=True)):
        if part:
            gain = part.users * squared_distance(centres[index], mean, scale)
            rest = _inertia_about(part, mean, scale, fill)
            moves = gain * part.users >= least * rest
            centres[index] = mean if moves else centres[index]
            saved, left = (saved + gain, left + rest) if moves else (saved, left + rest + gain)
    return Step(tuple(centres), means, scale, fill, saved / (saved + left) if saved else 0.0)


def fit(vectors: NDArray[np.int64], k: int, seed: int, starts: int, scale: Point, fill: Point) -> Fit:
    """The best of several runs of Lloyd's algorithm from k-means++ starts; fewer centres if fewer points differ.

    Reference: Arthur and Vassilvitskii, k-means++: The Advantages of Careful Seeding, 2007.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    runs = [_lloyd(vectors, _seeds(vectors, k, random, scale, fill), scale, fill) for _ in range(starts)]
    return min(runs, key=lambda run: run.inertia)


def fit_crowds(
    vectors: NDArray[np.int64], k: int, seed: int, starts: int, scale: Point, fill: Point
) -> tuple[NDArray[np.int64], Fit]:
    """A fit in which every centre has at least `least_users`, and the vectors it was fitted to.

    Those around a centre with fewer are left out and the rest is fitted again: a few extreme users do not move a
    centre, and belong to the nearest one. There are fewer centres if fewer points differ, or if more than `least_users`
    for each centre would have to be left out.
    """
    least = least_users(len(vectors), k)
    room = k * least
    while True:
        found = fit(vectors, k, seed, starts, scale, fill)
        indices = nearest(vectors, found.centres, scale, fill)[0]
        kept = (np.bincount(indices, minlength=len(found.centres)) >= least)[indices]
        left_out = len(kept) - int(kept.sum())
        if not left_out:
            return vectors, found
        if left_out > room:
            k -= 1
        else:
            vectors, room = vectors[kept], room - left_out


def _seeds(
    vectors: NDArray[np.int64], k: int, random: np.random.Generator, scale: Point, fill: Point
) -> tuple[Point, ...]:
    """k-means++: each next start is a point drawn by its squared distance from those drawn before."""
    centres: list[Point] = []
    weights, distances = np.ones(len(vectors)), np.full(len(vectors), np.inf)
    while len(centres) < k and weights.any():
        cumulative = np.cumsum(weights)
        drawn = vectors[np.searchsorted(cumulative, random.random() * cumulative[-1], side="right")].tolist()
        centres.append(tuple([float(x) if x != MISSING else mean for x, mean in zip(drawn, fill, strict=True)]))
        weights = distances = np.minimum(distances, nearest(vectors, centres[-1:], scale, fill)[1])
    return tuple(centres)


def _lloyd(vectors: NDArray[np.int64], centres: tuple[Point, ...], scale: Point, fill: Point) -> Fit:
    for _ in range(_ROUNDS):
        moved = member_means(vectors, centres, scale, fill)
        if moved == centres:
            break
        centres = moved
    return Fit(centres, inertia(vectors, centres, scale, fill))


def _means(tallies: Sequence[Tally | None], centres: Sequence[Point], fill: Point) -> tuple[Point, ...]:
    pairs = zip(tallies, centres, strict=True)
    return tuple([filled_mean(part, fill) if part else centre for part, centre in pairs])


def _inertia_about(part: Tally, mean: Point, scale: Point, fill: Point) -> float:
    total = 0.0
    features = zip(part.present, part.sums, part.squares, mean, scale, fill, strict=True)
    for present, summed, squares, centre, spread, stand_in in features:
        deviations = (part.users - present) * (stand_in - centre) ** 2
        if present:
            own_mean = summed / present
            deviations += (present * squares - summed * summed) / present + present * (own_mean - centre) ** 2
        total += deviations / spread**2
    return total
