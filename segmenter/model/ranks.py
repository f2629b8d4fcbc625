"""Ranks: which segments are the more engaged ones, and what each is called.

The slugs of the setting ``segments`` are ranks, from the least to the most engaged. They follow what the users
of each segment do; an id follows its users, and so does a name that people set by hand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from segmenter.errors import UsageError
from segmenter.model.census import UNIT
from segmenter.model.features import is_count
from segmenter.model.generation import Generation, Point, Segment, name_of

LONGEST_NAME = 64

_MOST = math.log(2.0**1023)  # floats end just above


def engagement(mean: Point, features: Sequence[str], scale: Point) -> tuple[float, float]:
    """How active the users around a point are: their typical number of events and, to break ties, times and amounts.

    Events are the sum of all features that are counts (`is_count`); times and amounts are the sum of the others, each
    divided by its scale.

    >>> one, seven = math.log1p(1) * UNIT, math.log1p(7) * UNIT
    >>> features = ("total_clicks", "total_searches", "mean_view_ms")
    >>> [round(number, 9) for number in engagement((one, seven, 5 * UNIT), features, (1.0, 1.0, UNIT))]
    [8.0, 5.0]
    """
    events = others = 0.0
    for coordinate, feature, spread in zip(mean, features, scale, strict=True):
        if is_count(feature):
            events += math.copysign(math.expm1(min(abs(coordinate) / UNIT, _MOST)), coordinate)
        else:
            others += coordinate / spread
    return events, others


def ranked(
    segments: Sequence[Segment], means: Sequence[Point], names: Sequence[str], features: Sequence[str], scale: Point
) -> dict[int, Segment]:
    """The segments by their index, least engaged first, each with the slug of its rank out of ``names``.

    Their users' means say how engaged they are. Fewer segments than names take slugs spread evenly, the lowest and the
    highest among them; there must not be more. A name set by hand stays with the id, any other is the slug's.

    >>> ranked([Segment(7, "a", "A"), Segment(8, "b", "Fans")], [(9.0,), (1.0,)], ["low", "mid", "high"], ["x"], (1.0,))
    {1: Segment(id=8, slug='low', name='Fans'), 0: Segment(id=7, slug='high', name='High')}
    """
    order = sorted(range(len(segments)), key=lambda index: engagement(means[index], features, scale))
    steps = max(1, len(order) - 1)
    slugs = [names[rank * (len(names) - 1) // steps] for rank in range(len(order))]
    return {index: _called(segments[index], slug) for index, slug in zip(order, slugs, strict=True)}


def renamed(generation: Generation, slug: str, name: str, names: Sequence[str], now_ms: int) -> Generation:
    """The next generation, in which the segment with this slug has another name; nobody moves.

    The name stays with the segment's id, whatever its rank will be; the slug's own name takes it back. Raises
    `UsageError` for an unknown slug, and for a name that another segment or rank has or that cannot be shown.
    """
    if slug not in generation.slugs:
        raise UsageError(f"there is no segment {slug!r}; there are: {', '.join(generation.slugs)}.")
    if not name.isprintable() or name != name.strip() or not 1 <= len(name) <= LONGEST_NAME:
        raise UsageError(f"a name is 1 to {LONGEST_NAME} printable characters, without spaces around it.")
    others = {segment.name for segment in generation.segments if segment.slug != slug}
    if name in others | {name_of(rank) for rank in names if rank != slug}:
        raise UsageError(f"{name!r} is the name of another segment.")
    return msgspec.structs.replace(
        generation,
        number=generation.number + 1,
        cause="rename",
        segments=tuple([Segment(s.id, s.slug, name if s.slug == slug else s.name) for s in generation.segments]),
        gain=0.0,
        created_ms=now_ms,
        changes=(),
    )


def _called(segment: Segment, slug: str) -> Segment:
    by_hand = segment.name != name_of(segment.slug)
    return Segment(segment.id, slug, segment.name if by_hand else name_of(slug))
