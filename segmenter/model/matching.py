"""Which of the old segments new centres are, so that an id stays with the users it stood for.

An id never comes back for others. Slugs are assigned anew each time, by rank (`segmenter.model.ranks`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from segmenter.model.generation import Generation, Lineage, Point, Segment, name_of
from segmenter.model.kmeans import squared_distance
from segmenter.model.ranks import engagement


class Match(NamedTuple):
    """New centres and their segments; the slugs are those of before."""

    centres: tuple[Point, ...]
    segments: tuple[Segment, ...]
    retired: tuple[Segment, ...] = ()
    """All segments that no longer exist."""
    changes: tuple[Lineage, ...] = ()


def initial(centres: Sequence[Point], features: Sequence[str], scale: Point) -> Match:
    """The first segments: the less engaged, the lower the id."""
    ordered = sorted(centres, key=lambda centre: engagement(centre, features, scale))
    return Match(tuple(ordered), tuple([_born(id) for id in range(len(ordered))]))


def match(generation: Generation, centres: Sequence[Point], scale: Point) -> Match:
    """Give new centres to the old segments so that these move least in total (Hungarian method).

    Centres left over are births, and come last. Segments left over retire.
    """
    return _match(
        generation, centres, [[squared_distance(old, new, scale) for new in centres] for old in generation.centres]
    )


def match_by_users(
    generation: Generation, before: Sequence[str], centres: Sequence[Point], after: Sequence[int]
) -> Match:
    """Give new centres to the old segments so that most users keep theirs (Hungarian method).

    ``before`` holds the old slug of each user, ``after`` the index of the new centre.
    """
    together = Counter(zip(before, after, strict=True))
    costs = [[-float(together[slug, new]) for new in range(len(centres))] for slug in generation.slugs]
    return _match(generation, centres, costs)


def _match(generation: Generation, centres: Sequence[Point], costs: list[list[float]]) -> Match:
    from scipy.optimize import linear_sum_assignment  # half a second, which a worker that never refits saves

    rows, columns = linear_sum_assignment(np.array(costs))
    new_of = dict(zip(rows.tolist(), columns.tolist(), strict=True))
    kept = {new: generation.segments[old] for old, new in sorted(new_of.items())}
    unused = 1 + max([segment.id for segment in (*generation.segments, *generation.retired)])
    unclaimed = [index for index in range(len(centres)) if index not in kept]
    born = {index: _born(id) for id, index in enumerate(unclaimed, unused)}
    gone = [old for old in range(len(costs)) if old not in new_of]
    segments = kept | born
    return Match(
        tuple([centres[index] for index in segments]),
        tuple(segments.values()),
        (*generation.retired, *[generation.segments[old] for old in gone]),
        (
            *[Lineage("birth", segment.id) for segment in born.values()],
            *[_lineage(generation, old, costs, kept) for old in gone],
        ),
    )


def _born(id: int) -> Segment:
    return Segment(id, f"segment_{id}", name_of(f"segment_{id}"))


def _lineage(generation: Generation, old: int, costs: list[list[float]], kept: dict[int, Segment]) -> Lineage:
    """Its users go to the nearest new centre; that is a merge if the segment there was nearest to it, too."""
    nearest = _least(costs[old])
    heir = kept[nearest]
    stayed = _least(costs[generation.segments.index(heir)]) == nearest
    return Lineage("merge" if stayed else "retirement", generation.segments[old].id, heir.id)


def _least(costs: list[float]) -> int:
    return min(range(len(costs)), key=costs.__getitem__)
