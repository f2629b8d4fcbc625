"""In which segment users were at a time, from the changes that snapshots have kept and the feeds still hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from segmenter import warehouse
from segmenter.errors import UsageError
from segmenter.events import shard_of
from segmenter.model.generation import name_of
from segmenter.model.history import Covered, Move, Past, segment_at
from segmenter.operations.history.following import follow_shard
from segmenter.settings import Settings
from segmenter.store.connection import Store, clock_ms
from segmenter.store.meta import open_store, store_id
from segmenter.store.rows import read_stored_rows
from segmenter.store.shards import read_shards
from segmenter.warehouse import KeptPast, Span, StoredChange

_LIVE = -1
"""In place of the number of a snapshot: the row in Redis."""


class Names(NamedTuple):
    """The names of segments by slug."""

    by_slug: dict[str, str]

    def of(self, slug: str) -> str:
        return self.by_slug.get(slug) or name_of(slug)


def look_back(settings: Settings, users: Sequence[str], at_ms: int) -> tuple[list[Past], Names]:
    """What the live answer was at a time by Redis' clock, for each user, and the names of segments today.

    Redis is asked only about what came after the last snapshot. Raises `UsageError` for a time that is still to come.
    """
    asked = [user.encode(errors="surrogatepass") for user in users]
    parts = {user: shard_of(user, settings.partitions) for user in asked}
    with warehouse.connect(settings) as database:
        kept = warehouse.read_past(database, parts.items())
        known = any(past.spans for past in kept.values())
        model = warehouse.latest_generation(database) if known else None
    late = {user for user, past in kept.items() if not past.spans or past.spans[-1].last_ms < at_ms}
    if late:
        with open_store(settings) as store:
            if at_ms >= clock_ms(store.client):
                raise UsageError("--at is a time to come; allowed is one that has passed.")
            kept |= _with_live(store, {user: kept[user] for user in late}, parts)
    names = Names({segment.slug: segment.name for segment in model.segments} if model else {})
    return [segment_at(_covered(kept[user]), at_ms) for user in asked], names


def _with_live(store: Store, kept: Mapping[bytes, KeptPast], parts: Mapping[bytes, int]) -> dict[bytes, KeptPast]:
    """The same, with what Redis knows that came later. Each feed is read once."""
    by_shard = defaultdict(list)
    for user in kept:
        by_shard[parts[user]].append(user)
    shards, identity, found = read_shards(*store), store_id(*store), dict(kept)
    for part in by_shard.keys() & shards.keys():
        users, began_ms = by_shard[part], clock_ms(store.client)
        stored = read_stored_rows(*store, users)
        spans = {span.first_ms: span for span in kept[users[0]].spans}
        last = spans[max(spans)] if spans else None
        changes: dict[bytes, list[StoredChange]] = {user: list(kept[user].changes) for user in users}
        for followed in follow_shard(store, part, shards[part].feed, identity, last, began_ms):
            for change in followed.changes:
                if change.user in changes:
                    changes[change.user].append(change)
            spans |= {span.first_ms: span for span in followed.spans}
        newest = spans[max(spans)]
        if newest.first_ms <= began_ms:
            spans[newest.first_ms] = newest._replace(snapshot_id=_LIVE)
        ordered = [spans[at] for at in sorted(spans)]
        for user in users:
            row = stored[user].row if user in stored else None
            live = {} if user in stored and row is None else {_LIVE: row.segment if row else ""}
            found[user] = KeptPast(ordered, changes[user], kept[user].seen | live)
    return found


def _covered(past: KeptPast) -> list[Covered]:
    return [
        Covered(span.first_ms, span.last_ms, _moves(past, span), past.seen.get(span.snapshot_id)) for span in past.spans
    ]


def _moves(past: KeptPast, span: Span) -> tuple[Move, ...]:
    return tuple(
        Move(change.at_ms, change.before, change.after)
        for change in past.changes
        if span.first_ms <= change.at_ms and (change.at_ms, change.at_seq) <= (span.read_ms, span.read_seq)
    )
