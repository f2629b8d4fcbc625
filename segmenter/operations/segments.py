"""The segments at a glance, from the census."""

from __future__ import annotations

import math
from typing import NamedTuple

from segmenter.model.census import Census, Tally
from segmenter.model.features import FEATURES
from segmenter.model.generation import Generation, name_of
from segmenter.model.vectors import SCALE_BITS


class SegmentRow(NamedTuple):
    """One segment: how many users, which share of all, and what is typical of them."""

    slug: str
    name: str
    users: int
    share: float
    typical: dict[str, float | None]
    """By feature, the mean of log(1 + x) over the users who have it, taken back; None if nobody has."""


def segments(census: Census, generation: Generation | None) -> list[SegmentRow]:
    """A row for each segment in the order of the generation, then for users it has not judged yet.

    >>> census = {"unassigned": Tally(2, (2, 0, 0, 0), (2 * 726817, 0, 0, 0), (0, 0, 0, 0))}
    >>> round(segments(census, None)[0].typical["total_clicks"], 3)
    1.0
    """
    names = {segment.slug: segment.name for segment in generation.segments} if generation else {}
    names |= {slug: name_of(slug) for slug in census if slug not in names}
    total = sum(tally.users for tally in census.values())
    empty = Tally(0, *((0,) * len(FEATURES) for _ in range(3)))
    found = [(slug, name, census.get(slug, empty)) for slug, name in names.items()]
    return [SegmentRow(slug, name, t.users, t.users / total if total else 0.0, _typical(t)) for slug, name, t in found]


def _typical(tally: Tally) -> dict[str, float | None]:
    return {
        feature.name: math.expm1(summed / present / 2**SCALE_BITS) if present else None
        for feature, present, summed in zip(FEATURES, tally.present, tally.sums, strict=True)
    }
