"""Segments that stay: who is who when centres are found anew.

At first segments are named by engagement. Later fits are matched to them, so that ids, slugs and names stay with the
users they stood for; an id or slug never comes back for another group.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from segmenter.model.census import Census, population
from segmenter.model.features import FEATURES
from segmenter.model.generation import Generation, Lineage, Point, Segment, name_of
from segmenter.model.kmeans import fit, inertia, squared_distance

STARTS = 8
"""How many k-means++ starts a fit tries."""

NAMES = tuple([feature.name for feature in FEATURES])


class Match(NamedTuple):
    """New centres and whom they stand for, in the order of the old segments, births after them."""

    centres: tuple[Point, ...]
    segments: tuple[Segment, ...]
    retired: tuple[Segment, ...]
    """All segments that once were and are no more."""
    changes: tuple[Lineage, ...]


def engagement(centre: Point, scale: Point) -> float:
    """How active the users about a centre are: the sum of its scaled features."""
    return sum([coordinate / spread for coordinate, spread in zip(centre, scale, strict=True)])


def initial(centres: Sequence[Point], scale: Point, names: Sequence[str]) -> Match:
    """The first segments, least engaged first, by the slugs ``names``.

    Fewer centres than names take names spread evenly, the lowest and the highest among them.

    >>> initial([(9.0,), (1.0,)], (2.0,), ["low", "moderate", "high"]).segments
    (Segment(id=0, slug='low', name='Low'), Segment(id=1, slug='high', name='High'))
    """
    ordered = tuple(sorted(centres, key=lambda centre: engagement(centre, scale)))
    steps = max(1, len(ordered) - 1)
    slugs = [names[index * (len(names) - 1) // steps] for index in range(len(ordered))]
    return Match(ordered, tuple([Segment(id, slug, name_of(slug)) for id, slug in enumerate(slugs)]), (), ())


def match(generation: Generation, centres: Sequence[Point], scale: Point, names: Sequence[str] = ()) -> Match:
    """Give new centres to the old segments so that together these move least (Hungarian method).

    Centres left over are births: their slug is the first of ``names`` that no segment ever had, else ``segment_<id>``.
    Segments left over retire.
    """
    costs = [[squared_distance(old, new, scale) for new in centres] for old in generation.centres]
    rows, columns = linear_sum_assignment(np.array(costs))
    new_of = dict(zip(rows.tolist(), columns.tolist(), strict=True))
    kept = {new: generation.segments[old] for old, new in sorted(new_of.items())}
    unclaimed = [index for index in range(len(centres)) if index not in kept]
    born = dict(zip(unclaimed, _births(generation, names, len(unclaimed)), strict=True))
    gone = [old for old in range(len(costs)) if old not in new_of]
    segments = kept | born
    return Match(
        tuple([centres[index] for index in segments]),
        tuple(segments.values()),
        (*generation.retired, *[generation.segments[old] for old in gone]),
        (
            *[Lineage("birth", segment.id) for segment in born.values()],
            *[_farewell(generation, old, costs, kept) for old in gone],
        ),
    )


def refitted(
    sample: NDArray[np.int64],
    census: Census,
    generation: Generation | None,
    names: Sequence[str],
    seed: int,
    now_ms: int,
    margin: float,
    features: tuple[str, ...] = NAMES,
) -> Generation | None:
    """The next generation by a fit from nothing on a sample of the users, None if it is not worth it.

    There is one segment for each slug of ``names``, or fewer while fewer vectors differ. A fit is worth it before the
    first generation, if it brings the number of segments nearer to that of the names, or if it saves the share
    ``margin`` of the sample's inertia about the present centres, by the scale and fill of the census.
    """
    if not len(sample):
        return None
    users, fill, scale = population(census)
    found = fit(sample, len(names), seed, STARTS, scale, fill)
    gain = 0.0
    if generation is None:
        matched = initial(found.centres, scale, names)
    else:
        present = inertia(sample, generation.centres, scale, fill)
        gain = 1.0 - found.inertia / present if present else 0.0
        if not _worth_it(len(found.centres), len(generation.centres), len(names), gain, margin):
            return None
        matched = match(generation, found.centres, scale, names)
    return Generation(
        number=generation.number + 1 if generation else 1,
        cause="refit" if generation else "bootstrap",
        features=features,
        centres=matched.centres,
        segments=matched.segments,
        scale=scale,
        fill=fill,
        gain=gain,
        population=users,
        fitted_population=users,
        created_ms=now_ms,
        retired=matched.retired,
        changes=matched.changes,
    )


def _worth_it(found: int, present: int, asked: int, gain: float, margin: float) -> bool:
    if found == present:
        return gain >= margin and gain > 0
    return abs(asked - found) < abs(asked - present)


def _births(generation: Generation, names: Sequence[str], how_many: int) -> list[Segment]:
    known = (*generation.segments, *generation.retired)
    taken = {segment.slug for segment in known}
    unused = iter([slug for slug in names if slug not in taken])
    free = (id for id in count(1 + max([segment.id for segment in known])) if f"segment_{id}" not in {*taken, *names})
    slugs = {id: next(unused, f"segment_{id}") for id in islice(free, how_many)}
    return [Segment(id, slug, name_of(slug)) for id, slug in slugs.items()]


def _farewell(generation: Generation, old: int, costs: list[list[float]], kept: dict[int, Segment]) -> Lineage:
    """Its users go where the nearest new centre is; that is a merge if the segment there was nearest to it as well."""
    nearest = _least(costs[old])
    heir = kept[nearest]
    stayed = _least(costs[generation.segments.index(heir)]) == nearest
    return Lineage("merge" if stayed else "retirement", generation.segments[old].id, heir.id)


def _least(costs: list[float]) -> int:
    return min(range(len(costs)), key=costs.__getitem__)
