"""In which segment users were at a time, from the changes that snapshots have kept and the feeds still hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from segmenter import warehouse
from segmenter.errors import UsageError
from segmenter.events import shard_of
from segmenter.model.generation import name_of
from segmenter.model.history import Covered, Move, Past, segment_at
from segmenter.operations.history.following import follow_shard
from segmenter.settings import Settings
from segmenter.store.connection import Store, clock_ms
from segmenter.store.meta import open_store
from segmenter.store.rows import read_stored_rows
from segmenter.store.shards import read_shards
from segmenter.warehouse import Span, StoredChange, Warehouse


class _History(NamedTuple):
    """What is known of one user: the spans of the shard, the user's changes, and where somebody saw the user."""

    spans: list[Span]
    changes: list[StoredChange]
    seen: str | None = None
    """The segment in the row that was read within the last span, empty if there is none; None if nobody looked."""


class Names(NamedTuple):
    """The names of segments by slug."""

    by_slug: dict[str, str]

    def of(self, slug: str) -> str:
        return self.by_slug.get(slug) or name_of(slug)


def look_back(settings: Settings, users: Sequence[str], at_ms: int) -> tuple[list[Past], Names]:
    """What the live answer was at a time by Redis' clock, for each user, and the names of segments today.

    Redis is asked only about what came after the last snapshot. Raises `UsageError` for a time that is still to come.
    """
    with warehouse.connect(settings) as database:
        spans = warehouse.read_spans(database)
        model = warehouse.latest_generation(database) if spans else None
        names = Names({segment.slug: segment.name for segment in model.segments} if model else {})
        asked = [(user.encode(errors="surrogatepass"), user) for user in users]
        parts = {user: shard_of(user, settings.partitions) for user, _ in asked}
        kept = {
            user: _History(
                [span for span in spans if span.part == part],
                warehouse.read_changes(database, part, user) if spans else [],
            )
            for user, part in parts.items()
        }
        late = [user for user, of in kept.items() if not of.spans or of.spans[-1].last_ms < at_ms]
        if late:
            with open_store(settings) as store:
                if at_ms >= clock_ms(store.client):
                    raise UsageError("--at is a time to come; allowed is one that has passed.")
                kept |= {user: _with_live(store, kept[user], parts[user], user) for user in late}
        return [segment_at(_known(database, kept[user], user), at_ms) for user, _ in asked], names


def _with_live(store: Store, kept: _History, part: int, user: bytes) -> _History:
    """The same, with what Redis knows that came later."""
    if part not in read_shards(*store):
        return kept
    began_ms = clock_ms(store.client)
    stored = read_stored_rows(*store, [user]).get(user)
    spans, changes = {span.first_ms: span for span in kept.spans}, list(kept.changes)
    for followed in follow_shard(store, part, kept.spans[-1] if kept.spans else None, began_ms):
        changes += [change for change in followed.changes if change.user == user]
        spans |= {span.first_ms: span for span in followed.spans}
    last = max(spans)
    if stored is None:
        seen: str | None = ""
    else:
        seen = stored.row.segment if stored.row else None
    return _History([spans[at] for at in sorted(spans)], changes, seen if last <= began_ms else None)


def _known(database: Warehouse, history: _History, user: bytes) -> list[Covered]:
    found = []
    for span in history.spans:
        moves = tuple(
            Move(change.at_ms, change.before, change.after)
            for change in history.changes
            if span.first_ms <= change.at_ms and (change.at_ms, change.at_seq) <= (span.read_ms, span.read_seq)
        )
        seen = history.seen if span == history.spans[-1] else None
        if seen is None and not moves and span.snapshot_id:
            seen = warehouse.segment_in(database, span.snapshot_id, user)
        found.append(Covered(span.first_ms, span.last_ms, moves, seen))
    return found
