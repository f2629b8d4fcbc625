"""The changes of users' segments, copied from the shards' change feeds, and from when to when all are there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, inspect, text

from segmenter.warehouse.engine import SUMMARY_SECONDS, Warehouse, insert, listed, writing


class StoredChange(NamedTuple):
    """One change: ``at_ms`` and ``at_seq`` are the entry's id in the feed, by Redis' clock.

    ``before`` is empty for a new user, ``after`` for one whose row was removed.
    """

    part: int
    user: bytes
    at_ms: int
    at_seq: int
    before: str
    after: str
    cause: str
    generation: int


class Span(NamedTuple):
    """From when to when (both included) all changes of a shard are stored, in ms since 1970 by Redis' clock."""

    part: int
    first_ms: int
    last_ms: int
    read_ms: int
    read_seq: int
    """With ``read_ms``, the id of the last entry that was read of the feed."""
    n: int
    """The running number of that entry."""
    store_id: str
    """Whose feed it is: a random id that each Redis has."""
    snapshot_id: int
    """The latest snapshot all of whose rows were read within the span; 0 if there is none."""
    snapshot_ms: int
    """When the reading of these began."""


class Followed(NamedTuple):
    """A part of a feed: changes in order, and the spans that have begun or gone on with them."""

    changes: Sequence[StoredChange]
    spans: Sequence[Span]


_CHANGE_COLUMNS = ("part", "user_id", "at_ms", "at_seq", "from_segment", "to_segment", "cause", "generation")


def write_changes(connection: Connection, feeds: Iterable[Followed]) -> None:
    """Store what was read of feeds."""
    for feed in feeds:
        insert(connection, "segment_changes", _CHANGE_COLUMNS, feed.changes, unless_there=True)
        for span in feed.spans:
            _remove(connection, span)
        insert(connection, "change_spans", Span._fields, feed.spans)


def spans_of(connection: Connection) -> list[Span]:
    """The spans of all shards, in order of time; none if this is a warehouse of an earlier version."""
    if not inspect(connection).has_table("change_spans"):
        return []
    query = f"SELECT {', '.join(Span._fields)} FROM change_spans ORDER BY part, first_ms"
    return [Span(*row) for row in connection.execute(text(query))]


def changes_of(connection: Connection, part: int, user: bytes) -> list[StoredChange]:
    """The changes of one user, who is in this shard, in order."""
    query = f"""
        SELECT {listed(_CHANGE_COLUMNS)} FROM segment_changes WHERE part = :part AND user_id = :user
        ORDER BY at_ms, at_seq
    """
    found = connection.execute(text(query), {"part": part, "user": user})
    return [StoredChange(row.part, bytes(row.user_id), *row[2:]) for row in found]


def forget_changes(warehouse: Warehouse, before_ms: int) -> None:
    """Remove the changes before a time, and what the spans say of the time before it."""
    with writing(warehouse, SUMMARY_SECONDS) as connection:
        spans = spans_of(connection)
        last = {span.part: span for span in spans}
        connection.execute(text("DELETE FROM segment_changes WHERE at_ms < :before"), {"before": before_ms})
        for span in [span for span in spans if span.first_ms < before_ms]:
            _remove(connection, span)
            if span.last_ms >= before_ms or span == last[span.part]:  # the last one says where to read on
                anchor = (span.snapshot_id, span.snapshot_ms) if span.snapshot_ms >= before_ms else (0, 0)
                insert(connection, "change_spans", Span._fields, [(span.part, before_ms, *span[2:-2], *anchor)])


def _remove(connection: Connection, span: Span) -> None:
    where = {"part": span.part, "first_ms": span.first_ms}
    connection.execute(text("DELETE FROM change_spans WHERE part = :part AND first_ms = :first_ms"), where)
