"""Reconciliation: a snapshot of the stream is compared with the batch summary of the raw events, and repaired."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from segmenter import warehouse
from segmenter.errors import WarehouseBehind
from segmenter.events import TOPICS, Rules, shard_of
from segmenter.model.features import features
from segmenter.model.profiles import FIELDS, Profile
from segmenter.operations import snapshot
from segmenter.operations.comparison import Number, Reconciliation, compare
from segmenter.operations.integrity.repair import Correction, repair_users
from segmenter.operations.owners import paused, with_living_owner
from segmenter.settings import Settings
from segmenter.store.meta import open_store
from segmenter.warehouse import Snapshot, Warehouse

Values = tuple[Number, ...]
"""The numbers of one user, in the order of `warehouse.VALUES`."""

PASSES = 5
"""The most passes. From the second on, shards with users that had moved on are paused from snapshot to repair."""


class Pass(NamedTuple):
    """One comparison of all users, and the repair of those who differ."""

    snapshot: Snapshot
    result: Reconciliation
    repaired: int
    moved_on: int
    """Users with new events between snapshot and repair; their rows were left as they were."""


def reconcile(settings: Settings, snapshot_id: int | None = None, wait_s: float = 0) -> tuple[Snapshot, Reconciliation]:
    """Compare a snapshot, by default the latest, with the batch summary up to its cuts.

    Raises `WarehouseBehind` when the sink does not load within ``wait_s`` seconds what the snapshot needs.
    """
    taken, stream, batch = _both_sides(settings, snapshot_id, wait_s)
    return taken, compare(warehouse.VALUES, stream, batch)


def reconcile_and_repair(settings: Settings, wait_s: float) -> Iterator[Pass]:
    """Take a snapshot, compare it and repair the users who differ, again and again until nothing differs.

    There are `PASSES` passes at most. Raises `WarehouseBehind` as `reconcile` does.
    """
    with open_store(settings, writing=True) as store:
        unsettled: set[int] = set()
        for _ in range(PASSES):
            with paused(store, with_living_owner(store, unsettled)):
                taken = snapshot.take(settings, time.time_ns() // 1_000_000)
                _, stream, batch = _both_sides(settings, taken.snapshot_id, wait_s)
                result = compare(warehouse.VALUES, stream, batch)
                corrections = _corrections(settings, taken, stream, batch)
                moved_on = repair_users(store, corrections)
            yield Pass(taken, result, len(corrections) - len(moved_on), len(moved_on))
            if result.equal:
                return
            unsettled = {shard_of(user, settings.partitions) for user in moved_on}


def _both_sides(
    settings: Settings, snapshot_id: int | None, wait_s: float
) -> tuple[Snapshot, dict[bytes, Values], dict[bytes, Values]]:
    """A snapshot, by default the latest, and the values of each user by the stream and by the batch."""
    with warehouse.connect(settings.warehouse_url) as database:
        warehouse.require_schema(database)
        taken = warehouse.find_snapshot(database, snapshot_id)
        warehouse.require_rules(database, Rules.of(settings))
        _await_sink(database, taken, wait_s)
        stream = warehouse.stream_rows(database, taken.snapshot_id)
        summary = warehouse.batch_rows(database, taken.snapshot_id, settings.duplicate_window)
    batch = {
        user: (*profile, *features(dict(zip(FIELDS, profile, strict=True))).values())
        for user, profile in summary.items()
    }
    return taken, stream, batch


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
    settings: Settings, taken: Snapshot, stream: Mapping[bytes, Values], batch: Mapping[bytes, Values]
) -> dict[bytes, Correction]:
    """What each user who differs must have at the cut of the snapshot."""
    wrong = {user for user in stream.keys() | batch.keys() if stream.get(user) != batch.get(user)}
    if not wrong:
        return {}
    with warehouse.connect(settings.warehouse_url) as database:
        shard_cuts = {at: cut.next_pos for at, cut in warehouse.kept_cuts(database, taken.snapshot_id).items()}
        cuts = {
            user: {topic: shard_cuts[topic, shard_of(user, settings.partitions)] for topic in TOPICS} for user in wrong
        }
        for users in warehouse.kept_users(database, taken.snapshot_id):
            cuts |= {kept.user: kept.cuts for kept in users if kept.user in wrong}
    return {user: Correction(_profile(batch.get(user)), cuts[user]) for user in wrong}


def _profile(values: Values | None) -> Profile | None:
    return None if values is None else tuple(int(value or 0) for value in values[: len(FIELDS)])
