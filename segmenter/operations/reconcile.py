"""Reconciliation: a snapshot of the stream is compared with the batch summary of the raw events, and repaired."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from segmenter import warehouse
from segmenter.errors import WarehouseBehind
from segmenter.events import TOPICS, Rules, shard_of
from segmenter.model.features import features
from segmenter.model.profiles import FIELDS, Profile
from segmenter.operations import snapshot
from segmenter.operations.comparison import Number, Reconciliation, compare
from segmenter.operations.integrity.differences import Difference
from segmenter.operations.integrity.repair import Correction, CountsCorrection, repair_from_events
from segmenter.operations.owners import paused, with_living_owner
from segmenter.settings import Settings
from segmenter.shards.state import Counts
from segmenter.store.meta import open_store
from segmenter.warehouse import BatchCounts, Snapshot, Warehouse

Values = tuple[Number, ...]
"""The numbers of one user, in the order of `warehouse.VALUES`."""

PASSES = 5
"""The most passes. From the second on, shards with users that had moved on are paused from snapshot to repair."""


class Pass(NamedTuple):
    """One comparison, and the repair of the users and counts that differ."""

    snapshot: Snapshot
    result: Reconciliation
    repaired: int
    """Users whose rows were repaired."""
    moved_on: int
    """Users with new events between snapshot and repair; their rows were left as they were."""
    repaired_counts: int
    """Shards whose counts were repaired; the others have read on since the snapshot."""


class _Sides(NamedTuple):
    """What the stream says, by a snapshot, and what the batch says up to its cuts."""

    taken: Snapshot
    stream: dict[bytes, Values]
    batch: dict[bytes, Values]
    stream_counts: dict[int, Counts]
    batch_counts: dict[int, BatchCounts]

    def compared(self) -> Reconciliation:
        """Stream minus batch."""
        counts = [
            Difference(number, "counts", "", name, getattr(counts, name), getattr(self.batch_counts[number], name))
            for number, counts in self.stream_counts.items()
            for name in BatchCounts._fields
        ]
        differing = tuple(each for each in counts if each.stored != each.expected)
        return compare(warehouse.VALUES, self.stream, self.batch)._replace(counts=differing)


def reconcile(settings: Settings, snapshot_id: int | None = None, wait_s: float = 0) -> tuple[Snapshot, Reconciliation]:
    """Compare a snapshot, by default the latest, with the batch summary up to its cuts.

    Raises `WarehouseBehind` when the sink does not load within ``wait_s`` seconds what the snapshot needs.
    """
    sides = _both_sides(settings, snapshot_id, wait_s)
    return sides.taken, sides.compared()


def reconcile_and_repair(settings: Settings, wait_s: float) -> Iterator[Pass]:
    """Take a snapshot, compare it and repair what differs, again and again until nothing differs.

    There are `PASSES` passes at most. Raises `WarehouseBehind` as `reconcile` does.
    """
    with open_store(settings, writing=True) as store:
        unsettled: set[int] = set()
        for _ in range(PASSES):
            with paused(store, with_living_owner(store, unsettled)):
                taken = snapshot.take(settings, time.time_ns() // 1_000_000)
                sides = _both_sides(settings, taken.snapshot_id, wait_s)
                result = sides.compared()
                users, counts = _corrections(settings, sides, result)
                moved_on = repair_from_events(store, users, counts)
            yield Pass(
                taken,
                result,
                len(users) - len(moved_on.users),
                len(moved_on.users),
                len(counts) - len(moved_on.shards),
            )
            if result.equal:
                return
            unsettled = moved_on.shards | {shard_of(user, settings.partitions) for user in moved_on.users}


def _both_sides(settings: Settings, snapshot_id: int | None, wait_s: float) -> _Sides:
    with warehouse.connect(settings.warehouse_url) as database:
        warehouse.require_schema(database)
        taken = warehouse.find_snapshot(database, snapshot_id)
        warehouse.require_rules(database, Rules.of(settings))
        _await_sink(database, taken, wait_s)
        stream = warehouse.stream_rows(database, taken.snapshot_id)
        summary = warehouse.batch_rows(database, taken.snapshot_id, settings.duplicate_window)
        counted = warehouse.kept_counts(database, taken.snapshot_id)
        batch_counts = warehouse.batch_counts(database, taken.snapshot_id, settings.duplicate_window)
    batch = {
        user: (*profile, *features(dict(zip(FIELDS, profile, strict=True))).values())
        for user, profile in summary.items()
    }
    stream_counts = {number: msgspec.json.decode(counts, type=Counts) for number, counts in counted.items()}
    return _Sides(
        taken, stream, batch, stream_counts, {number: batch_counts.get(number, BatchCounts(0, 0)) for number in counted}
    )


def _await_sink(database: Warehouse, taken: Snapshot, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while behind := warehouse.behind(database, taken.snapshot_id):
        if time.monotonic() >= deadline:
            first = behind[0]
            raise WarehouseBehind(
                f"warehouse behind: snapshot {taken.snapshot_id} needs topic {first.topic!r} partition {first.part} "
                f"up to offset {first.needed}, loaded up to {first.has}"
                + (f" (and {len(behind) - 1} more)" if len(behind) > 1 else "")
                + ": run `segmenter sink --once`."
            )
        time.sleep(0.1)


def _corrections(
    settings: Settings, sides: _Sides, result: Reconciliation
) -> tuple[dict[bytes, Correction], dict[int, CountsCorrection]]:
    """What each user and each shard that differs must have at the cut of the snapshot."""
    if result.equal:
        return {}, {}
    wrong = {
        user for user in sides.stream.keys() | sides.batch.keys() if sides.stream.get(user) != sides.batch.get(user)
    }
    with warehouse.connect(settings.warehouse_url) as database:
        kept = warehouse.kept_cuts(database, sides.taken.snapshot_id)
        shard_cuts = {
            number: {topic: kept[topic, number].next_pos for topic in TOPICS} for number in range(settings.partitions)
        }
        cuts = {user: shard_cuts[shard_of(user, settings.partitions)] for user in wrong}
        for users in warehouse.kept_users(database, sides.taken.snapshot_id):
            cuts |= {kept.user: kept.cuts for kept in users if kept.user in wrong}
    return (
        {user: Correction(_profile(sides.batch.get(user)), cuts[user]) for user in wrong},
        {
            number: CountsCorrection(*sides.batch_counts[number], shard_cuts[number])
            for number in {difference.shard for difference in result.counts}
        },
    )


def _profile(values: Values | None) -> Profile | None:
    return None if values is None else tuple(int(value or 0) for value in values[: len(FIELDS)])
