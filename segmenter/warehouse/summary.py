"""The batch summary up to the cuts of a snapshot, beside what the stream held, and whether the sink has come so far."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import text

from segmenter.errors import TopicRecreated
from segmenter.events import TOPICS
from segmenter.warehouse.engine import SUMMARY_SECONDS, Warehouse, reading
from segmenter.warehouse.migrations import statements
from segmenter.warehouse.snapshots import VALUES


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


def stream_rows(warehouse: Warehouse, snapshot_id: int) -> dict[bytes, tuple[int | float | None, ...]]:
    """What the stream held of each user, in the order of `VALUES`."""
    query = f"SELECT user_id, {', '.join(VALUES)} FROM snapshot_users WHERE snapshot_id = :snapshot_id"
    with reading(warehouse, SUMMARY_SECONDS) as connection:
        found = connection.execute(text(query), {"snapshot_id": snapshot_id})
        return {user: tuple(values) for user, *values in found}


def batch_rows(warehouse: Warehouse, snapshot_id: int, duplicate_window: int) -> dict[bytes, tuple[int, ...]]:
    """The batch summary of each user up to the snapshot's cuts, in the order of ``profiles.FIELDS``."""
    (query,) = statements("summary.sql")
    bound = {"snapshot_id": snapshot_id, "duplicate_window": duplicate_window}
    with reading(warehouse, SUMMARY_SECONDS) as connection:
        found = connection.execute(text(query), bound)
        return {user: tuple(map(int, values)) for user, *values in found}


def batch_counts(warehouse: Warehouse, snapshot_id: int, duplicate_window: int) -> dict[int, BatchCounts]:
    """What became of the events of each shard below the snapshot's cuts; a shard without any is absent."""
    (query,) = statements("counts.sql")
    bound = {"snapshot_id": snapshot_id, "duplicate_window": duplicate_window}
    with reading(warehouse, SUMMARY_SECONDS) as connection:
        found = connection.execute(text(query), bound)
        return {part: BatchCounts(events - int(duplicates), int(duplicates)) for part, events, duplicates in found}


def behind(warehouse: Warehouse, snapshot_id: int) -> list[Behind]:
    """The partitions that are not yet loaded up to what the snapshot needs: the furthest cut in the shard.

    Raises `TopicRecreated` when the snapshot and the raw events are of different topics of the same name.
    """
    cut_of = " ".join(f"WHEN '{topic}' THEN u.cut_{topic}" for topic in TOPICS)
    furthest = ", ".join(f"MAX(cut_{topic}) AS cut_{topic}" for topic in TOPICS)
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
