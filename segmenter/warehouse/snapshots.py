"""Snapshots of what the stream holds, and the batch summary up to their cuts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from segmenter.errors import NothingYet, UsageError
from segmenter.warehouse.columns import user_columns
from segmenter.warehouse.engine import SUMMARY_SECONDS, Warehouse, calculating, insert, reading, writing
from segmenter.warehouse.history.changes import Followed, Span, spans_of, write_changes
from segmenter.warehouse.raw_events import Partition
from segmenter.warehouse.users_of import base_for_next, insert_increment, insert_whole

UserRow = tuple[Any, ...]
"""One user of a snapshot, in the order of `user_columns`."""


_ONE_AT_A_TIME = ("snapshots", "whoever writes one locks this row")
_TABLES = ("snapshots", "snapshot_cuts", "snapshot_shards", "snapshot_users", "snapshot_removed", "generations")


class Snapshot(NamedTuple):
    """One snapshot: when it was taken, under which generation (0: none yet), and of how many users."""

    snapshot_id: int
    taken_ms: int
    generation: int
    users: int
    base_id: int = 0
    """The whole snapshot before this one, if it holds only the users who are not as they were then; else 0."""


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
    *,
    names: Mapping[str, str] | None = None,
    follow: Callable[[int, list[Span]], Iterable[Followed]] = lambda number, kept: (),
    incremental: bool = False,
) -> Snapshot:
    """Store a snapshot; it is there as a whole or not at all.

    ``cuts`` were read before the first of ``users``, which come in batches and each once.
    ``body`` is the generation as JSON, None before the first; ``counts`` what each shard had counted at its cuts,
    likewise. ``names`` are those of its segments, by slug. ``follow`` is called after the last user, with the number of
    the snapshot and the spans that are known. With ``incremental``, only users are stored who are not as in the last
    whole snapshot.
    """
    transaction = calculating(warehouse, writes=True) if incremental else writing(warehouse, SUMMARY_SECONDS)
    with transaction as connection:
        insert(connection, "meta", ("name", "value"), [_ONE_AT_A_TIME], unless_there=True)
        latest = connection.execute(text("SELECT COALESCE(MAX(snapshot_id), 0) FROM snapshots")).scalar_one()
        number, base = int(latest) + 1, base_for_next(connection) if incremental else 0
        insert(connection, "snapshots", Snapshot._fields, [(number, taken_ms, generation, 0, base)])
        insert(
            connection,
            "snapshot_cuts",
            ("snapshot_id", "topic", "part", "topic_id", "next_pos"),
            [(number, topic, part, *cut) for (topic, part), cut in cuts.items()],
        )
        shards = [(number, part, counted) for part, counted in counts.items()]
        insert(connection, "snapshot_shards", ("snapshot_id", "part", "counts"), shards)
        if body is not None:
            insert(connection, "generations", ("snapshot_id", "generation", "body"), [(number, generation, body)])
        sizes = Counter(dict.fromkeys(names or (), 0))
        arriving = _counting(users, user_columns(warehouse.kinds).index("segment"), sizes)
        if base:
            count = insert_increment(connection, warehouse.kinds, number, base, arriving)
        else:
            count = insert_whole(connection, warehouse.kinds, number, arriving)
        rows = [(number, slug, (names or {}).get(slug, slug), size, taken_ms) for slug, size in sizes.items()]
        insert(connection, "segment_sizes", ("snapshot_id", "segment", "name", "users", "taken_ms"), rows)
        update = text("UPDATE snapshots SET users = :count WHERE snapshot_id = :number")
        connection.execute(update, {"number": number, "count": count})
        write_changes(connection, follow(number, spans_of(connection)))
        return _snapshot(connection, number)


def _counting(users: Iterable[Sequence[UserRow]], at: int, sizes: Counter[str]) -> Iterator[Sequence[UserRow]]:
    """The same, with the users of each segment counted on the way."""
    for batch in users:
        sizes.update(row[at] for row in batch)
        yield batch


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


def remove_snapshots(warehouse: Warehouse, keep: int | None = None, before_ms: int = 0) -> list[int]:
    """Remove all snapshots but the latest ``keep``, or those taken before a time; returns the numbers of those removed.

    The latest stays, and so does the base of one that stays, and one that is further in some partition than the latest:
    since then, Redis has lost what only that one holds.
    """
    further = text(
        "SELECT DISTINCT o.snapshot_id FROM snapshot_cuts o JOIN snapshot_cuts n ON n.topic = o.topic "
        "AND n.part = o.part WHERE n.snapshot_id = :latest AND o.next_pos > n.next_pos "
        "AND (n.topic_id IS NULL OR n.topic_id = o.topic_id)"
    )
    with reading(warehouse) as connection:
        query = "SELECT snapshot_id, taken_ms, base_id FROM snapshots ORDER BY snapshot_id DESC"
        latest, *older = connection.execute(text(query)).all()
        needed = set(connection.execute(further, {"latest": latest.snapshot_id}).scalars())
    beyond = older[keep - 1 :] if keep is not None else [each for each in older if each.taken_ms < before_ms]
    staying = {*older, latest} - {each for each in beyond if each.snapshot_id not in needed}
    bases = {each.base_id for each in staying}
    removed = sorted({each.snapshot_id for each in beyond} - needed - bases)
    for number in removed:
        with writing(warehouse, SUMMARY_SECONDS) as connection:
            for table in _TABLES:
                connection.execute(text(f"DELETE FROM {table} WHERE snapshot_id = :number"), {"number": number})
    return removed


def _snapshot(connection: Connection, snapshot_id: int) -> Snapshot:
    query = f"SELECT {', '.join(Snapshot._fields)} FROM snapshots WHERE snapshot_id = :snapshot_id"
    return Snapshot(*connection.execute(text(query), {"snapshot_id": snapshot_id}).one())
