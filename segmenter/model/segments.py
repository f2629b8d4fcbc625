"""The next generation, whose segments are the old ones: by a step, a fit from scratch, or a fit to other features."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import msgspec
import numpy as np
from numpy.typing import NDArray

from segmenter.model.census import Census, Population, population, tally
from segmenter.model.generation import PROVISIONAL_USERS, Generation, Point
from segmenter.model.kmeans import (
    Fit,
    Step,
    fit_crowds,
    inertia,
    judge,
    least_users,
    member_means,
    nearest,
    step,
)
from segmenter.model.matching import Match, initial, match, match_by_users
from segmenter.model.ranks import engagement, ranked

NEARLY_ALIKE = 0.1
"""Slugs swap in a step of their own when the typical user of the lower segment does more by over this share of 1 + what
the one of the higher segment does."""


def successor(
    census: Census, generation: Generation, names: Sequence[str], margin: float, now_ms: int
) -> Generation | None:
    """The next generation by one step, None if that gains less than the share ``margin`` of the inertia.

    Whatever it gains, it is taken if the users of a segment do clearly more than those of a higher one. Every user of
    the census must have been judged by ``generation``. Centres that only a few extreme users pull (`least_users`) stay
    where they are. A model with more segments than ``names`` takes no step: it waits for a refit.
    """
    users = sum([part.users for part in census.values()])
    taken = step(census, generation, least_users(users, len(generation.centres)))
    worth_it = (taken.gain >= margin and taken.centres != generation.centres) or _out_of_order(taken, generation)
    if not worth_it or len(generation.centres) > len(names):
        return None
    order = ranked(generation.segments, taken.means, names, generation.features, taken.scale)
    return msgspec.structs.replace(
        generation,
        number=generation.number + 1,
        cause="step",
        centres=tuple([taken.centres[index] for index in order]),
        segments=tuple(order.values()),
        scale=taken.scale,
        fill=taken.fill,
        gain=taken.gain,
        population=users,
        created_ms=now_ms,
        changes=(),
    )


def refitted(
    sample: NDArray[np.int64],
    census: Census,
    generation: Generation | None,
    names: Sequence[str],
    seed: int,
    now_ms: int,
    margin: float,
    features: tuple[str, ...],
) -> Generation | None:
    """The next generation by a fit from scratch on a sample of the users, None if it is not worth it.

    There is one segment for each slug of ``names``, or fewer while fewer vectors differ. A fit is worth it

    - before the first generation, and where that is provisional and there are enough users now;
    - if the present model is `unfit` for the sample;
    - if it brings the number of segments nearer to that of the names;
    - if it saves the share ``margin`` of the inertia about the present centres, by the scale and fill of the census.

    While the census counts users only, as before the first generation, scale and fill are those of the sample.
    """
    if not len(sample):
        return None
    users = sum([part.users for part in census.values()])
    has_values = any(any(part.present) for part in census.values())
    _, fill, scale = population(census) if has_values else _population_of(sample)
    crowds, found = fit_crowds(sample, len(names), seed, _starts(len(sample)), scale, fill)
    gain = 0.0
    if generation:
        present = inertia(crowds, generation.centres, scale, fill)
        gain = 1.0 - found.inertia / present if present else 0.0
        outgrown = generation.provisional and users >= PROVISIONAL_USERS
        must_go = outgrown or unfit(tally(sample, judge(sample, generation)), generation, names)
        if not must_go and not _worth_it(len(found.centres), len(generation.centres), len(names), gain, margin):
            return None
    matched = match(generation, found.centres, scale) if generation else initial(found.centres, features, scale)
    published = _fitted(sample, matched, names, features, scale, fill, users, generation, now_ms)
    return msgspec.structs.replace(published, cause="refit" if generation else "bootstrap", gain=gain)


def judging_by(
    features: tuple[str, ...],
    sample: NDArray[np.int64],
    before: Sequence[str],
    generation: Generation,
    names: Sequence[str],
    seed: int,
    now_ms: int,
    users: int,
) -> Generation:
    """The next generation if users are to be judged by other ``features``, of which the vectors of ``sample`` are made.

    ``before`` holds the slug that the present generation gives to each user of the sample. The new segments are the old
    ones with which they share most users.
    """
    _, fill, scale = _population_of(sample)
    found: Fit = fit_crowds(sample, len(names), seed, _starts(len(sample)), scale, fill)[1]
    after = nearest(sample, found.centres, scale, fill)[0].tolist()
    matched = match_by_users(generation, before, found.centres, after)
    published = _fitted(sample, matched, names, features, scale, fill, users, generation, now_ms)
    return msgspec.structs.replace(published, cause="features", features_since=published.number)


def _population_of(sample: NDArray[np.int64]) -> Population:
    return population(tally(sample, [0] * len(sample)))


def _fitted(
    sample: NDArray[np.int64],
    matched: Match,
    names: Sequence[str],
    features: tuple[str, ...],
    scale: Point,
    fill: Point,
    users: int,
    before: Generation | None,
    now_ms: int,
) -> Generation:
    means = member_means(sample, matched.centres, scale, fill)
    order = ranked(matched.segments, means, names, features, scale)
    return Generation(
        number=before.number + 1 if before else 1,
        cause="bootstrap",
        features=features,
        features_since=before.features_since if before else 1,
        centres=tuple([matched.centres[index] for index in order]),
        segments=tuple(order.values()),
        scale=scale,
        fill=fill,
        population=users,
        fitted_population=users,
        created_ms=now_ms,
        retired=matched.retired,
        changes=matched.changes,
    )


def unfit(census: Census, generation: Generation, names: Sequence[str]) -> bool:
    """Whether a model should be replaced: it has more segments than names, one of only a few users, or wrong slugs.

    The census must have been judged by ``generation``. A segment without users does no harm.
    """
    least = least_users(sum([part.users for part in census.values()]), len(names))
    if len(generation.segments) > len(names) or any(part.users < least for part in census.values()):
        return True
    now = step(census, generation)
    order = ranked(generation.segments, now.means, names, generation.features, now.scale)
    return any(generation.segments[index] != segment for index, segment in order.items())


def _out_of_order(taken: Step, generation: Generation) -> bool:
    """Whether the typical user of a segment now does clearly more than that of a higher one.

    Never for the population that the generation was made of: its segments have been ranked by the same sums, and users
    who are as near to one centre as to another would go to and fro with their order.
    """
    if taken.centres == generation.centres and (taken.scale, taken.fill) == (generation.scale, generation.fill):
        return False
    events = [engagement(mean, generation.features, taken.scale)[0] for mean in taken.means]
    most_below = accumulate(events, max)
    return any(below - here > NEARLY_ALIKE * (1.0 + abs(here)) for below, here in zip(most_below, events, strict=True))


def _starts(vectors: int) -> int:
    """How many k-means++ starts a fit tries: the fewer vectors there are, the more it can afford.

    >>> [_starts(vectors) for vectors in (1, 5_000, 8_000, 16_000, 20_000, 100_000)]
    [32, 32, 20, 10, 8, 8]
    """
    return max(8, min(32, 160_000 // vectors))


def _worth_it(found: int, present: int, asked: int, gain: float, margin: float) -> bool:
    if found == present:
        return gain >= margin and gain > 0
    return abs(asked - found) < abs(asked - present)
