"""What the warehouse knows of the segments that users were in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, text

from segmenter.warehouse.engine import SUMMARY_SECONDS, Warehouse, reading
from segmenter.warehouse.history.changes import Span, StoredChange, changes_of, spans_of
from segmenter.warehouse.users_of import users_of


class KeptPast(NamedTuple):
    """What is kept of one user."""

    spans: list[Span]
    """Those of the user's shard, in order of time."""
    changes: list[StoredChange]
    """Those of the user, likewise."""
    seen: dict[int, str]
    """The segment in each snapshot that a span names, empty if it does not have the user; without those removed."""


def read_past(warehouse: Warehouse, users: Iterable[tuple[bytes, int]]) -> dict[bytes, KeptPast]:
    """What is kept of users, each with the number of the shard: all as of one moment."""
    with reading(warehouse, SUMMARY_SECONDS) as connection:
        spans = spans_of(connection)
        snapshots = _tables(connection, warehouse, {span.snapshot_id for span in spans} - {0})
        found = {}
        for user, part in users:
            own = [span for span in spans if span.part == part]
            seen = {
                span.snapshot_id: _segment(connection, snapshots[span.snapshot_id], span.snapshot_id, user)
                for span in own
                if span.snapshot_id in snapshots
            }
            found[user] = KeptPast(own, changes_of(connection, part, user) if own else [], seen)
        return found


def _tables(connection: Connection, warehouse: Warehouse, wanted: set[int]) -> dict[int, str]:
    """Where the users are of those snapshots that are still there."""
    if not wanted:
        return {}
    there = set(connection.execute(text("SELECT snapshot_id FROM snapshots")).scalars())
    return {number: users_of(connection, warehouse.kinds, number) for number in wanted & there}


def _segment(connection: Connection, users: str, snapshot_id: int, user: bytes) -> str:
    query = text(f"SELECT segment FROM {users} u WHERE snapshot_id = :number AND user_id = :user")
    return connection.execute(query, {"number": snapshot_id, "user": user}).scalar_one_or_none() or ""
