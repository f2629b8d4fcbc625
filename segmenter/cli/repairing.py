"""The passes of `segmenter reconcile --repair`: snapshot, compare, put right, and look again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from consumers import snapshot
from consumers.asking import alive, quiet
from consumers.righting import Wanted, put_right
from consumers.shard import Store
from segmenter import warehouse
from segmenter.cli.reconcile import both_sides
from segmenter.events import TOPICS
from segmenter.profiles import FIELDS
from segmenter.reconcile import Number, Reconciliation, compare
from segmenter.settings import Settings
from segmenter.shards import shard_of
from segmenter.store.connection import claim, connect
from segmenter.warehouse import Snapshot

PASSES = 5
"""The most passes. From the second on, shards whose users had moved on are quiet from snapshot to repair."""


class Pass(NamedTuple):
    """One look at all users, and what was done about those who were wrong."""

    snapshot: Snapshot
    result: Reconciliation
    repaired: int
    moved_on: int
    """Users of whom there was news between the snapshot and the repair: their rows were left as they were."""


def passes(settings: Settings, wait_s: float) -> Iterator[Pass]:
    """Look and put right, until nothing differs, a few times at most.

    Raises `WarehouseBehind` when the sink has not loaded within ``wait_s`` seconds what a snapshot needs.
    """
    store = Store(connect(settings), settings)
    claim(store.client, settings, settings.rules())
    unsettled: set[int] = set()
    for _ in range(PASSES):
        with quiet(store, alive(store, unsettled)):
            taken = snapshot.take(settings, time.time_ns() // 1_000_000)
            _, stream, batch = both_sides(settings, taken.snapshot_id, wait_s)
            result = compare(warehouse.VALUES, stream, batch)
            wanted = _wanted(settings, taken, stream, batch)
            moved_on = put_right(store, wanted)
        yield Pass(taken, result, len(wanted) - len(moved_on), len(moved_on))
        if result.equal:
            return
        unsettled = {shard_of(user, settings.partitions) for user in moved_on}


def _wanted(
    settings: Settings,
    taken: Snapshot,
    stream: Mapping[bytes, tuple[Number, ...]],
    batch: Mapping[bytes, tuple[Number, ...]],
) -> dict[bytes, Wanted]:
    """What each user who is not the same on both sides should have, at the cut of the snapshot."""
    wrong = {user for user in stream.keys() | batch.keys() if stream.get(user) != batch.get(user)}
    if not wrong:
        return {}
    with warehouse.connect(settings.warehouse_url) as house:
        shards = {at: cut.next_pos for at, cut in warehouse.kept_cuts(house, taken.snapshot_id).items()}
        cuts = {user: {topic: shards[topic, _part(settings, user)] for topic in TOPICS} for user in wrong}
        for users in warehouse.kept_users(house, taken.snapshot_id):
            cuts |= {kept.user: kept.cuts for kept in users if kept.user in wrong}
    return {user: Wanted(_profile(batch.get(user)), cuts[user]) for user in wrong}


def _part(settings: Settings, user: bytes) -> int:
    return shard_of(user, settings.partitions)


def _profile(values: tuple[Number, ...] | None) -> tuple[int, ...] | None:
    return None if values is None else tuple(int(value or 0) for value in values[: len(FIELDS)])
