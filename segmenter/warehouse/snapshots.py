"""Snapshots of what the stream holds, and the batch summary up to their cuts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from segmenter.errors import NothingYet, UsageError
from segmenter.warehouse.columns import user_columns
from segmenter.warehouse.engine import SUMMARY_SECONDS, Warehouse, insert, reading, writing
from segmenter.warehouse.raw_events import Partition

UserRow = tuple[Any, ...]
"""One user of a snapshot, in the order of `user_columns`."""


_ONE_AT_A_TIME = ("snapshots", "whoever writes one locks this row")


class Snapshot(NamedTuple):
    """One snapshot: when it was taken, under which generation (0: none yet), and of how many users."""

    snapshot_id: int
    taken_ms: int
    generation: int
    users: int


class Cut(NamedTuple):
    """The next offset of a partition of the topic with this id; None before a worker has read it."""

    topic_id: str | None
    next_pos: int


def write_snapshot(
    warehouse: Warehouse,
    taken_ms: int,
    cuts: Mapping[Partition, Cut],
    users: Iterable[Sequence[UserRow]],
    generation: int,
    body: str | None,
    counts: Mapping[int, str],
) -> Snapshot:
    """Store a snapshot; it is there as a whole or not at all.

    ``cuts`` were read before the first of ``users``, which come in batches and each once.
    ``body`` is the generation as JSON, None before the first; ``counts`` what each shard had counted at its cuts,
    likewise.
    """
    with writing(warehouse, SUMMARY_SECONDS) as connection:
        insert(connection, "meta", ("name", "value"), [_ONE_AT_A_TIME], unless_there=True)
        latest = connection.execute(text("SELECT COALESCE(MAX(snapshot_id), 0) FROM snapshots")).scalar_one()
        number = int(latest) + 1
        insert(connection, "snapshots", Snapshot._fields, [(number, taken_ms, generation, 0)])
        insert(
            connection,
            "snapshot_cuts",
            ("snapshot_id", "topic", "part", "topic_id", "next_pos"),
            [(number, topic, part, *cut) for (topic, part), cut in cuts.items()],
        )
        shards = [(number, part, counted) for part, counted in counts.items()]
        insert(connection, "snapshot_shards", ("snapshot_id", "part", "counts"), shards)
        columns = ("snapshot_id", *user_columns(warehouse.kinds))
        for batch in users:
            insert(connection, "snapshot_users", columns, [(number, *row) for row in batch])
        if body is not None:
            insert(connection, "generations", ("snapshot_id", "generation", "body"), [(number, generation, body)])
        connection.execute(
            text(
                "UPDATE snapshots SET users = (SELECT COUNT(*) FROM snapshot_users WHERE snapshot_id = :number) "
                "WHERE snapshot_id = :number"
            ),
            {"number": number},
        )
        return _snapshot(connection, number)


def find_snapshot(
    warehouse: Warehouse, snapshot_id: int | None = None, without: str = "run `segmenter snapshot`"
) -> Snapshot:
    """A snapshot, the latest by default. Raises `NothingYet` when there is none, which says what to do ``without``."""
    with reading(warehouse) as connection:
        found = connection.execute(text("SELECT snapshot_id FROM snapshots ORDER BY snapshot_id")).scalars().all()
        if not found:
            raise NothingYet(f"the warehouse holds no snapshot yet: {without}.")
        if snapshot_id is not None and snapshot_id not in found:
            raise UsageError(f"the warehouse holds no snapshot {snapshot_id}, only {found[0]} to {found[-1]}.")
        return _snapshot(connection, found[-1] if snapshot_id is None else snapshot_id)


def latest_snapshot(warehouse: Warehouse) -> Snapshot | None:
    """The latest snapshot, if there is any."""
    with reading(warehouse) as connection:
        found = connection.execute(text("SELECT MAX(snapshot_id) FROM snapshots")).scalar_one()
        return None if found is None else _snapshot(connection, found)


def remove_snapshots(warehouse: Warehouse, keep: int) -> list[int]:
    """Remove all snapshots but the latest ``keep``, each as a whole; returns the numbers of those removed.

    One that is further in some partition than the latest stays: since then, Redis has lost what only that one holds.
    """
    further = text(
        "SELECT DISTINCT o.snapshot_id FROM snapshot_cuts o JOIN snapshot_cuts n ON n.topic = o.topic "
        "AND n.part = o.part WHERE n.snapshot_id = :latest AND o.next_pos > n.next_pos "
        "AND (n.topic_id IS NULL OR n.topic_id = o.topic_id)"
    )
    with reading(warehouse) as connection:
        query = "SELECT snapshot_id FROM snapshots ORDER BY snapshot_id DESC"
        latest, *older = connection.execute(text(query)).scalars().all()
        needed = set(connection.execute(further, {"latest": latest}).scalars())
    removed = sorted(set(older[keep - 1 :]) - needed)
    for number in removed:
        with writing(warehouse, SUMMARY_SECONDS) as connection:
            for table in ("snapshots", "snapshot_cuts", "snapshot_shards", "snapshot_users", "generations"):
                connection.execute(text(f"DELETE FROM {table} WHERE snapshot_id = :number"), {"number": number})
    return removed


def _snapshot(connection: Connection, snapshot_id: int) -> Snapshot:
    query = f"SELECT {', '.join(Snapshot._fields)} FROM snapshots WHERE snapshot_id = :snapshot_id"
    return Snapshot(*connection.execute(text(query), {"snapshot_id": snapshot_id}).one())
