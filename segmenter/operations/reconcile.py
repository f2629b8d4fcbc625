"""The passes of `segmenter reconcile --repair`: snapshot, compare, put right, and look again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from segmenter import warehouse
from segmenter.errors import WarehouseBehind
from segmenter.events import TOPICS, Rules
from segmenter.events.sharding import shard_of
from segmenter.model.features import features
from segmenter.model.profiles import FIELDS
from segmenter.operations import snapshot
from segmenter.operations.comparison import Number, Reconciliation, compare
from segmenter.operations.integrity.repair import Wanted, put_right
from segmenter.operations.owners import alive, quiet
from segmenter.settings import Settings
from segmenter.store.connection import Store, connect
from segmenter.store.meta import claim
from segmenter.warehouse import Snapshot, Warehouse

Values = tuple[Number, ...]

PASSES = 5
"""The most passes. From the second on, shards whose users had moved on are quiet from snapshot to repair."""


class Pass(NamedTuple):
    """One look at all users, and what was done about those who were wrong."""

    snapshot: Snapshot
    result: Reconciliation
    repaired: int
    moved_on: int
    """Users of whom there was news between the snapshot and the repair: their rows were left as they were."""


def reconcile_and_repair(settings: Settings, wait_s: float) -> Iterator[Pass]:
    """Look and put right, until nothing differs, a few times at most.

    Raises `WarehouseBehind` when the sink has not loaded within ``wait_s`` seconds what a snapshot needs.
    """
    store = Store(connect(settings), settings)
    claim(store.client, settings, Rules.of(settings))
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


def reconcile(settings: Settings, snapshot_id: int | None = None, wait_s: float = 0) -> tuple[Snapshot, Reconciliation]:
    """A snapshot, the latest by default, and how it compares with the batch.

    Raises `WarehouseBehind` when the sink has not loaded all that it needs within ``wait_s`` seconds.
    """

    taken, stream, batch = both_sides(settings, snapshot_id, wait_s)
    return taken, compare(warehouse.VALUES, stream, batch)


def both_sides(
    settings: Settings, snapshot_id: int | None, wait_s: float
) -> tuple[Snapshot, dict[bytes, Values], dict[bytes, Values]]:
    """A snapshot, the latest by default, with the values of each user as the stream and as the batch has them."""

    with warehouse.connect(settings.warehouse_url) as house:
        warehouse.require_schema(house)
        taken = warehouse.find_snapshot(house, snapshot_id)
        warehouse.hold_rules(house, msgspec.structs.asdict(Rules.of(settings)))
        _await_sink(house, taken, wait_s)
        stream = warehouse.stream_rows(house, taken.snapshot_id)
        summary = warehouse.batch_rows(house, taken.snapshot_id, settings.duplicate_window)
    batch = {
        user: (*profile, *features(dict(zip(FIELDS, profile, strict=True))).values())
        for user, profile in summary.items()
    }
    return taken, stream, batch


def _await_sink(house: Warehouse, taken: Snapshot, wait_s: float) -> None:

    deadline = time.monotonic() + wait_s
    while behind := warehouse.behind(house, taken.snapshot_id):
        if time.monotonic() >= deadline:
            first = behind[0]
            raise WarehouseBehind(
                f"warehouse behind: snapshot {taken.snapshot_id} needs topic {first.topic!r} partition {first.part} "
                f"up to offset {first.needed}, loaded up to {first.has}"
                + (f" (and {len(behind) - 1} more)" if len(behind) > 1 else "")
                + ": run `segmenter sink --once`."
            )
        time.sleep(0.1)
