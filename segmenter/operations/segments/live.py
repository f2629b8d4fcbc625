"""The segments as they are now: size, share and typical features of each, from the census in Redis."""

from __future__ import annotations

from typing import NamedTuple

from segmenter.model.census import Census, Tally, merged, typical
from segmenter.model.generation import Generation, name_of, space_of
from segmenter.settings import Settings
from segmenter.store.meta import open_store
from segmenter.store.models import read_model
from segmenter.store.shards import read_shards


class SegmentRow(NamedTuple):
    """One segment: the number of its users, their share of all, and their typical features."""

    slug: str
    name: str
    users: int
    share: float
    typical: dict[str, float | None]
    """By feature, exp(m) - 1, where m is the mean of log(1 + x) over the users who have it; None if nobody has."""


class Segments(NamedTuple):
    """The number of the current generation, 0 before the first, and its segments, the least engaged first."""

    generation: int
    provisional: bool
    """Whether the model was fitted to too few users to last."""
    segments: list[SegmentRow]


def read_segments(settings: Settings) -> Segments:
    """The segments as they are now."""
    with open_store(settings) as store:
        generation = read_model(store.client, settings)
        shards = read_shards(store.client, settings)
    census = merged(state.counted_in(space_of(generation)).census for state in shards.values())
    provisional = generation is not None and generation.provisional
    return Segments(generation.number if generation else 0, provisional, segment_rows(census, generation))


def segment_rows(census: Census, generation: Generation | None) -> list[SegmentRow]:
    """A row for each segment in the order of the generation, then one for users that it has not judged yet.

    >>> segment_rows({"unassigned": Tally(2, (), (), ())}, None)
    [SegmentRow(slug='unassigned', name='Unassigned', users=2, share=1.0, typical={})]
    """
    features = space_of(generation).features
    names = {segment.slug: segment.name for segment in generation.segments} if generation else {}
    names |= {slug: name_of(slug) for slug in census if slug not in names}
    total = sum(tally.users for tally in census.values())
    empty = Tally(0, *((0,) * len(features) for _ in range(3)))
    found = [(slug, name, census.get(slug, empty)) for slug, name in names.items()]
    return [
        SegmentRow(slug, name, t.users, t.users / total if total else 0.0, typical(t, features))
        for slug, name, t in found
    ]
