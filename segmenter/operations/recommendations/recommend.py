"""The best items for one user, and for all of them into the table."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from segmenter import warehouse
from segmenter.analysis.recommendations.neighbours import neighbours
from segmenter.analysis.recommendations.ranking import Basis, Ranked, rank, recommendable
from segmenter.errors import UsageError
from segmenter.events import shown
from segmenter.model.generation import UNASSIGNED
from segmenter.operations.progress import Progress, silent
from segmenter.operations.recommendations.source import Source, read_source
from segmenter.settings import Settings
from segmenter.warehouse import RecommendationRun, Snapshot


class Recommendation(NamedTuple):
    """An item for a user, and why."""

    item: bytes
    score: float
    share: float
    """Of the segment's users who had it; of all users where it is by popularity."""
    lift: float | None
    """How many times as often the segment had it as all others, at equal activity; None by popularity."""
    near: int
    """With how many items that the user had it goes."""


class Recommendations(NamedTuple):
    """The items for one user, the best first."""

    snapshot: Snapshot
    user: bytes
    segment: str
    """``unassigned`` also for a user whom the snapshot does not have."""
    had: int
    """How many items the user had."""
    basis: Basis
    items: list[Recommendation]


def recommend(settings: Settings, user: str, limit: int, progress: Progress = silent) -> Recommendations:
    """The best items for a user who has not had them. Raises `UsageError` for one whom the warehouse does not know."""
    with warehouse.connect(settings) as database:
        source = read_source(database, settings, progress)
    key = user.encode(errors="surrogatepass")  # text that is not an id is unknown
    users, items, had = source.interactions
    place = bisect_left(users, key)
    if users[place : place + 1] != [key]:
        raise UsageError(
            f"user {shown(key)} is not in snapshot {source.snapshot.snapshot_id} and has no event with an item: check "
            "the id; for a new user, run `segmenter sink --once` and `segmenter snapshot` first."
        )
    owned = had.indices[had.indptr[place] : had.indptr[place + 1]].astype(np.int64)
    near = neighbours(had, recommendable(source.taste), owned)
    ((ranked,),) = rank(had, source.slugs, source.taste, near, np.array([place]), limit)
    found = [Recommendation(items[each.item], *each[1:]) for each in ranked.items]
    slug = source.slugs[place] or UNASSIGNED
    return Recommendations(source.snapshot, key, slug, len(owned), ranked.basis, found)


def recommend_all(
    settings: Settings, top: int, now_ms: int, progress: Progress = silent
) -> tuple[int, RecommendationRun]:
    """Store the best items for every user in the table recommendations, in place of those before.

    Returns the number of the run, and what it holds. Raises `Fenced` when another run began meanwhile.
    """
    with warehouse.connect(settings) as database:
        source = read_source(database, settings, progress)
        users, items, had = source.interactions
        with progress("finding what goes together", len(items)) as advance:
            near = neighbours(had, recommendable(source.taste), np.arange(len(items)), advance)
        with progress("recommending", len(users)) as advance:

            def rows() -> Iterator[tuple[Any, ...]]:
                for part in rank(had, source.slugs, source.taste, near, np.arange(len(users)), top):
                    for ranked in part:
                        yield from _rows(source, ranked)
                    advance(len(part))

            number = source.snapshot.snapshot_id
            return warehouse.write_recommendations(database, number, len(users), len(items), now_ms, rows())


def _rows(source: Source, ranked: Ranked) -> Iterator[tuple[Any, ...]]:
    """Rows of the table, in the order of its columns."""
    user, slug = source.interactions.users[ranked.user], source.slugs[ranked.user] or UNASSIGNED
    for place, (item, score, *why) in enumerate(ranked.items, 1):
        yield user, place, source.interactions.items[item], score, slug, ranked.basis, *why
