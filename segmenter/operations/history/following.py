"""Copying the shards' change feeds into the warehouse, and knowing for which time nothing of them is missing.

A feed is cut off at a length, so what a snapshot does not copy in time is lost. Each entry has a running number: where
it jumps, some are missing, and a new span begins. So it does if Redis has lost entries that had been copied.
"""

from __future__ import annotations

from collections.abc import Iterator

from segmenter.store.connection import Store, clock_ms
from segmenter.store.feed import Entry, read_feed
from segmenter.store.meta import store_id
from segmenter.store.shards import read_shards
from segmenter.warehouse import Followed, Span, StoredChange


def follow(store: Store, kept: list[Span], began_ms: int, snapshot_id: int) -> Iterator[Followed]:
    """What the feeds have had since the ``kept`` spans, and how these go on.

    ``began_ms`` is when the reading of the snapshot's rows began, by Redis' clock; it has ended.
    """
    last = {span.part: span for span in kept}
    identity = store_id(*store)
    for part, state in read_shards(*store).items():
        span = None
        for followed in follow_shard(store, part, state.feed, identity, last.get(part), began_ms):
            yield followed
            span = followed.spans[-1] if followed.spans else None
        if span and span.first_ms <= began_ms:
            yield Followed([], [span._replace(snapshot_id=snapshot_id, snapshot_ms=began_ms)])


def follow_shard(
    store: Store, part: int, number: int, identity: str, kept: Span | None, began_ms: int
) -> Iterator[Followed]:
    """The same of one shard, whose feed had come to this ``number``. The last span is the one that goes up to now."""
    span = kept if kept and kept.store_id == identity else None
    until_ms, seen = clock_ms(store.client), False
    for entries in read_feed(*store, part, (span.read_ms, span.read_seq) if span else (0, 0)):
        ended, seen = [], True
        for entry in entries:
            if span and entry.n != span.n + 1:
                ended.append(span)
                span = None
            span = _after(entry, span or Span(part, entry.at_ms, 0, 0, 0, 0, identity, 0, 0))
        yield Followed([_stored(part, entry) for entry in entries], ended)
    if span and (span.n < number or (span.n > number and not seen)):
        yield Followed([], [span])
        span = Span(part, until_ms, 0, span.read_ms, span.read_seq, number, identity, 0, 0)
    span = span or Span(part, began_ms, 0, 0, 0, number, identity, 0, 0)
    yield Followed([], [span._replace(last_ms=max(span.last_ms, until_ms - 1))])


def _after(entry: Entry, span: Span) -> Span:
    """The span, gone on by an entry; of the entry's own millisecond, more may follow."""
    complete_ms = max(span.last_ms, entry.at_ms - 1)
    return span._replace(last_ms=complete_ms, read_ms=entry.at_ms, read_seq=entry.at_seq, n=entry.n)


def _stored(part: int, entry: Entry) -> StoredChange:
    return StoredChange(
        part, entry.user, entry.at_ms, entry.at_seq, entry.before, entry.after, entry.cause, entry.generation
    )
