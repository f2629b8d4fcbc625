"""Reconciliation: a snapshot of the stream is compared with the batch summary of the raw events, and repaired."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

from segmenter import warehouse
from segmenter.errors import Corrupt
from segmenter.events import shard_of
from segmenter.model.profiles import Profile, fields
from segmenter.operations import snapshot
from segmenter.operations.both_sides import BothSides, Values, read_both_sides
from segmenter.operations.comparison import Reconciliation
from segmenter.operations.integrity.repair import (
    Correction,
    CountsCorrection,
    repair_from_events,
    verify_and_repair,
)
from segmenter.operations.owners import paused, with_living_owner
from segmenter.operations.progress import Progress, silent
from segmenter.settings import Settings
from segmenter.store.meta import open_store
from segmenter.warehouse import Snapshot, Verdict

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


def reconcile(
    settings: Settings,
    snapshot_id: int | None = None,
    wait_s: float = 0,
    full: bool = False,
    progress: Progress = silent,
) -> tuple[Snapshot, Reconciliation]:
    """Compare a snapshot, by default the latest, with the batch summary up to its cuts.

    The summary takes up new raw events only; with ``full``, all of them are summed up anew, and nothing is written.
    Raises `WarehouseBehind` when the sink does not load within ``wait_s`` seconds what the snapshot needs.
    """
    sides = read_both_sides(settings, snapshot_id, wait_s, full, progress=progress)
    return sides.taken, _kept(settings, sides.taken, sides.compared())


def reconcile_and_repair(
    settings: Settings, wait_s: float, full: bool = False, progress: Progress = silent
) -> Iterator[Pass]:
    """Take a snapshot, compare it and repair what differs, again and again until nothing differs.

    What cannot be read is removed first. There are `PASSES` passes at most. Raises `WarehouseBehind` as `reconcile`
    does.
    """
    with open_store(settings, writing=True) as store:
        unsettled: set[int] = set()
        for _ in range(PASSES):
            with paused(store, with_living_owner(store, unsettled)):
                taken = _take_snapshot(settings)
                sides = read_both_sides(settings, taken.snapshot_id, wait_s, full, store.settings.kinds, progress)
                result = _kept(settings, taken, sides.compared())
                users, counts = _corrections(store.settings, sides, result)
                moved_on = repair_from_events(store, users, counts)
            yield Pass(
                taken,
                result,
                len(users) - len(moved_on.users),
                len(moved_on.users),
                len(counts) - len(moved_on.shards),
            )
            if not users and not counts:
                return
            unsettled = moved_on.shards | {shard_of(user, settings.partitions) for user in moved_on.users}


def _kept(settings: Settings, taken: Snapshot, found: Reconciliation) -> Reconciliation:
    """The same, stored in the warehouse unless it was ``full``, which only reads."""
    if not found.full or found.summary_wrong:
        now_ms = time.time_ns() // 1_000_000
        users = (found.compared, found.differing, found.missing, found.extra)
        verdict = Verdict(now_ms, taken.snapshot_id, *users, len(found.counts), len(found.gaps))
        with warehouse.connect(settings) as database:
            warehouse.write_verdict(database, verdict)
    return found


def _take_snapshot(settings: Settings) -> Snapshot:
    """Take a snapshot; where something cannot be read, after a repair, which removes it."""
    try:
        return snapshot.take(settings, time.time_ns() // 1_000_000)
    except Corrupt:
        verify_and_repair(settings)
        return snapshot.take(settings, time.time_ns() // 1_000_000)


def _corrections(
    settings: Settings, sides: BothSides, result: Reconciliation
) -> tuple[dict[bytes, Correction], dict[int, CountsCorrection]]:
    """What each user and each shard that is wrong must have at the cut of the snapshot."""
    wrong = sides.wrong_users()
    if not wrong and not result.counts:
        return {}, {}
    shard_cuts = {
        number: {topic: cut for (topic, part), cut in sides.cuts.items() if part == number}
        for number in range(settings.partitions)
    }
    cuts = {user: shard_cuts[shard_of(user, settings.partitions)] for user in wrong}
    with warehouse.connect(settings) as database:
        for users in warehouse.snapshot_users(database, sides.taken.snapshot_id):
            cuts |= {kept.user: kept.cuts for kept in users if kept.user in wrong}
    return (
        {user: Correction(_profile(sides.batch.get(user), settings), cuts[user]) for user in wrong},
        {
            number: CountsCorrection(*sides.right_counts(number), sides.begins.get(number, {}), shard_cuts[number])
            for number in {difference.shard for difference in result.counts}
        },
    )


def _profile(values: Values | None, settings: Settings) -> Profile | None:
    return None if values is None else tuple(int(value or 0) for value in values[: len(fields(settings.kinds))])
