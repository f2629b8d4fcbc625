"""The batch summary up to the cuts of a snapshot, beside what the stream held, and whether the sink has come so far."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from segmenter.errors import SumTooLarge, TopicRecreated
from segmenter.events import shown
from segmenter.kinds import Kind
from segmenter.model.profiles import fields
from segmenter.warehouse.columns import value_columns
from segmenter.warehouse.engine import SUMMARY_SECONDS, Warehouse, listed, reading
from segmenter.warehouse.gaps import Gap, read_gaps
from segmenter.warehouse.raw_events import Loaded, Partition, read_loaded
from segmenter.warehouse.templates import statements

ALL_LOADED = 0
"""The number of no snapshot: its cuts are the offsets of the sink."""


class Behind(NamedTuple):
    """A partition that is loaded up to ``has`` while a snapshot needs it up to ``needed``."""

    topic: str
    part: int
    needed: int
    has: int


class BatchCounts(NamedTuple):
    """How many events of a shard count, and how many do not since they are duplicates."""

    folded: int
    duplicates: int


class AllLoaded(NamedTuple):
    """The batch summary of all that the sink has loaded."""

    offsets: dict[Partition, Loaded]
    gaps: list[Gap]
    profiles: dict[bytes, tuple[int, ...]]
    """The numbers of each user, in the order of ``profiles.fields``."""
    counts: dict[int, BatchCounts]


def stream_rows(warehouse: Warehouse, snapshot_id: int) -> dict[bytes, tuple[int | float | None, ...]]:
    """What the stream held of each user, in the order of `value_columns`."""
    columns = listed(("user_id", *value_columns(warehouse.kinds)))
    query = f"SELECT {columns} FROM snapshot_users WHERE snapshot_id = :snapshot_id"
    with reading(warehouse, SUMMARY_SECONDS) as connection:
        found = connection.execute(text(query), {"snapshot_id": snapshot_id})
        return {user: tuple(values) for user, *values in found}


def batch_rows(warehouse: Warehouse, snapshot_id: int, duplicate_window: int) -> dict[bytes, tuple[int, ...]]:
    """The batch summary of each user up to the snapshot's cuts, in the order of ``profiles.fields``."""
    with reading(warehouse, SUMMARY_SECONDS) as connection:
        return _batch_rows(connection, warehouse.kinds, snapshot_id, duplicate_window)


def batch_counts(warehouse: Warehouse, snapshot_id: int, duplicate_window: int) -> dict[int, BatchCounts]:
    """What became of the events of each shard below the snapshot's cuts; a shard without any is absent."""
    with reading(warehouse, SUMMARY_SECONDS) as connection:
        return _batch_counts(connection, warehouse.kinds, snapshot_id, duplicate_window)


def all_loaded(warehouse: Warehouse, duplicate_window: int) -> AllLoaded:
    """The batch summary of all that the sink has loaded, as of one moment."""
    with reading(warehouse, SUMMARY_SECONDS) as connection:
        return AllLoaded(
            read_loaded(connection),
            read_gaps(connection),
            _batch_rows(connection, warehouse.kinds, ALL_LOADED, duplicate_window),
            _batch_counts(connection, warehouse.kinds, ALL_LOADED, duplicate_window),
        )


def _batch_rows(
    connection: Connection, kinds: tuple[Kind, ...], snapshot_id: int, duplicate_window: int
) -> dict[bytes, tuple[int, ...]]:
    (query,) = statements("summary.sql", kinds=kinds)
    cut = {"snapshot_id": snapshot_id, "duplicate_window": duplicate_window}
    found: Iterator[Any] = _summed(connection, query, cut)
    rows: dict[bytes, tuple[int, ...]] = {user: tuple(map(int, numbers)) for user, *numbers in found}
    for name in [kind.fields[-1] for kind in kinds if kind.measure == "amount"]:
        at = fields(kinds).index(name)
        for user, values in rows.items():
            if not -(2**63) <= values[at] < 2**63:
                raise SumTooLarge(shown(user), name)
    return rows


def _summed(connection: Connection, query: str, cut: dict[str, int]) -> Iterator[Any]:
    """The rows of a summary. SQLite sums in 64 bits, and raises an error where these are not enough."""
    try:
        yield from connection.execute(text(query), cut)
    except OperationalError as error:
        if "integer overflow" not in str(error.orig):
            raise
        raise SumTooLarge("(SQLite does not tell which)", "a sum") from error


def _batch_counts(
    connection: Connection, kinds: tuple[Kind, ...], snapshot_id: int, duplicate_window: int
) -> dict[int, BatchCounts]:
    (query,) = statements("counts.sql", kinds=kinds)
    found = connection.execute(text(query), {"snapshot_id": snapshot_id, "duplicate_window": duplicate_window})
    return {part: BatchCounts(events - int(duplicates), int(duplicates)) for part, events, duplicates in found}


def behind(warehouse: Warehouse, snapshot_id: int) -> list[Behind]:
    """The partitions that are not yet loaded up to what the snapshot needs: the furthest cut in the shard.

    Raises `TopicRecreated` when the snapshot and the raw events are of different topics of the same name.
    """
    topics = [kind.topic for kind in warehouse.kinds]
    cut_of = " ".join(f"WHEN '{topic}' THEN u.cut_{topic}" for topic in topics)
    furthest = ", ".join(f"MAX(cut_{topic}) AS cut_{topic}" for topic in topics)
    query = f"""
        SELECT
            c.topic, c.part, c.topic_id AS stream_id, o.topic_id AS batch_id, o.next_pos AS has,
            c.next_pos AS cut, CASE c.topic {cut_of} END AS furthest
        FROM snapshot_cuts c
        LEFT JOIN (
            SELECT part, {furthest} FROM snapshot_users WHERE snapshot_id = :snapshot_id GROUP BY part
        ) u ON u.part = c.part
        LEFT JOIN sink_offsets o ON o.topic = c.topic AND o.part = c.part
        WHERE c.snapshot_id = :snapshot_id
        ORDER BY c.topic, c.part
    """
    with reading(warehouse, SUMMARY_SECONDS) as connection:
        found = connection.execute(text(query), {"snapshot_id": snapshot_id}).all()
    for row in found:
        if None not in (row.stream_id, row.batch_id) and row.stream_id != row.batch_id:
            raise TopicRecreated(
                row.topic, row.batch_id, row.stream_id, "Use the Redis and the warehouse of one system."
            )
    needs = [Behind(row.topic, row.part, max(row.cut, row.furthest or 0), row.has or 0) for row in found]
    return [need for need in needs if need.has < need.needed]
