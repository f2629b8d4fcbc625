"""Restore: the store is made what a snapshot in the warehouse says, and workers read on from its offsets.

`prepare` checks that this is possible, and writes nothing. `write` marks the store, removes what it holds, writes the
users and then, for each shard, its offsets and counts; at the very end it removes the mark. So workers see a restore
that was killed, and the next restore starts from nothing.

A row may hold events beyond the offsets of its shard. The worker reads these again: it counts them, and leaves the row
as it is, since the row says which events it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import NamedTuple

import msgspec

from segmenter import topics, warehouse
from segmenter.errors import TopicRecreated, UsageError
from segmenter.events import Rules
from segmenter.model.generation import Generation, digest
from segmenter.operations.progress import Progress, silent
from segmenter.settings import Settings
from segmenter.shards import judge
from segmenter.shards.state import Commit, Counts, ShardState
from segmenter.store.connection import Store, clock_ms, connect
from segmenter.store.meta import begin_restore, claim_rules, end_restore, holds_users, is_half_restored
from segmenter.store.models import publish
from segmenter.store.shards import acquire_shard, commit_shard, read_shards
from segmenter.topics import Position
from segmenter.warehouse import Cut, KeptUser, Partition, Snapshot, Warehouse

_INSTEAD = "Restore another snapshot by --snapshot, or start afresh with an unused SEGMENTER_KEY_PREFIX."


class Plan(NamedTuple):
    """A snapshot that can be restored."""

    snapshot: Snapshot
    generation: Generation | None
    states: dict[int, ShardState]
    """The state to give to each shard that had offsets: offsets, topic ids and counts."""
    to_come: int
    """How many records the log holds beyond the offsets."""


def restore(
    settings: Settings, snapshot_id: int | None = None, replace: bool = False, progress: Progress = silent
) -> Plan:
    """Restore a snapshot, by default the latest: `prepare`, then `write`."""
    plan = prepare(settings, snapshot_id, replace)
    with progress("restoring users", plan.snapshot.users) as advance:
        write(settings, plan, advance)
    return plan


def prepare(settings: Settings, snapshot_id: int | None = None, replace: bool = False) -> Plan:
    """Find a snapshot, by default the latest, and make sure that it can be restored.

    Raises `UsageError` while a worker is alive, when Redis holds users unless ``replace``, and for a snapshot without
    counts; `RulesDiffer`; `TopicRecreated`; and `LogTruncated` when the log does not hold what follows the snapshot.
    """
    with closing(connect(settings)) as client:
        claim_rules(client, settings, Rules.of(settings))
        _require_stopped(Store(client, settings))
        if not replace and not is_half_restored(client, settings) and holds_users(client, settings):
            raise UsageError(
                f"Redis holds users under {settings.key_prefix!r}: `segmenter restore --replace` removes them first."
            )
    with warehouse.connect(settings.warehouse_url) as database:
        warehouse.require_schema(database)
        warehouse.require_rules(database, Rules.of(settings))
        snapshot = warehouse.find_snapshot(database, snapshot_id)
        cuts = warehouse.kept_cuts(database, snapshot.snapshot_id)
        generation = warehouse.kept_generation(database, snapshot.snapshot_id)
        states = _states(database, snapshot, cuts, generation)
        reach = warehouse.kept_reach(database, snapshot.snapshot_id)
    return Plan(snapshot, generation, states, _to_come(settings, cuts, reach))


def write(settings: Settings, plan: Plan, on_progress: Callable[[int], None] = lambda users: None) -> None:
    """Make the store hold a snapshot and nothing else. ``on_progress`` is called with the number of users written.

    Raises `UsageError` when a worker writes meanwhile.
    """
    with closing(connect(settings)) as client:
        _write_all(Store(client, settings), plan, on_progress)


def _write_all(store: Store, plan: Plan, on_progress: Callable[[int], None]) -> None:
    settings = store.settings
    begin_restore(store.client, settings, plan.snapshot.snapshot_id)
    if plan.generation is not None and not publish(store.client, settings, plan.generation, None):
        raise _disturbed("the model")
    states = {number: acquire_shard(store.client, settings, number) for number in range(settings.partitions)}
    with warehouse.connect(settings.warehouse_url) as database:
        for users in warehouse.kept_users(database, plan.snapshot.snapshot_id):
            _write_users(store, users, states, plan.generation)
            on_progress(len(users))
    for number, kept in plan.states.items():
        after = kept._replace(census=states[number].census)
        _write(store, number, states, Commit([], [], after), plan.generation)
    end_restore(store.client, settings)


def _require_stopped(store: Store) -> None:
    now_ms = clock_ms(store.client)
    for number, state in read_shards(store.client, store.settings).items():
        if now_ms - state.beat_ms < store.settings.stale_after_ms:
            raise UsageError(
                f"a worker held shard {number} {(now_ms - state.beat_ms) / 1_000:.1f} s ago: stop the workers, and run "
                f"this again {store.settings.stale_after_ms / 1_000:.0f} s later."
            )


def _states(
    database: Warehouse, snapshot: Snapshot, cuts: Mapping[Partition, Cut], generation: Generation | None
) -> dict[int, ShardState]:
    counts = warehouse.kept_counts(database, snapshot.snapshot_id)
    states = {}
    for number in sorted({part for (_, part), cut in cuts.items() if cut.topic_id}):
        if number not in counts:
            raise UsageError(
                f"snapshot {snapshot.snapshot_id} was taken by a version without counts, so it cannot be restored: "
                "name a later one by --snapshot, or start a worker with an empty Redis."
            )
        own = {topic: cut for (topic, part), cut in cuts.items() if part == number}
        states[number] = ShardState(
            token="",
            version=0,
            dirty=False,
            offsets={topic: cut.next_pos for topic, cut in own.items()},
            topic_ids={topic: cut.topic_id for topic, cut in own.items() if cut.topic_id},
            census={},
            counts=msgspec.json.decode(counts[number], type=Counts),
            generation=generation.number if generation else 0,
            feed=0,
            beat_ms=0,
            caught_up_ms=0,
        )
    return states


def _to_come(settings: Settings, cuts: Mapping[Partition, Cut], reach: Mapping[Partition, int]) -> int:
    """The number of records beyond the cuts, after checking that the log holds all that they need."""
    ids = topics.topic_ids(settings)

    def position(partition: Partition) -> Position:
        return settings.topic_prefix + partition[0], partition[1]

    for (topic, _), cut in cuts.items():
        if cut.topic_id is not None and cut.topic_id != (found := ids[settings.topic_prefix + topic]):
            raise TopicRecreated(topic, cut.topic_id, found)
    begins, ends = topics.beginnings(settings, ids), topics.ends(settings, ids)
    needed = {position(at): cut.next_pos for at, cut in cuts.items()}
    topics.check_beginnings(needed, begins, _INSTEAD)
    topics.check_ends(needed, ends, _INSTEAD)
    topics.check_ends({position(at): cut for at, cut in reach.items()}, ends, _INSTEAD)
    return sum(ends[at] - offset for at, offset in needed.items())


def _write_users(
    store: Store, users: Sequence[KeptUser], states: dict[int, ShardState], generation: Generation | None
) -> None:
    for number in {user.part for user in users}:
        own = [user for user in users if user.part == number]
        for first in range(0, len(own), store.settings.commit_rows):
            piece = own[first : first + store.settings.commit_rows]
            offsets = [{topic: cut - 1 for topic, cut in user.cuts.items() if cut} for user in piece]
            commit = judge.create(
                [user.user for user in piece], [user.profile for user in piece], offsets, states[number], generation
            )
            _write(store, number, states, commit, generation)


def _write(
    store: Store, number: int, states: dict[int, ShardState], commit: Commit, generation: Generation | None
) -> None:
    judged_by = digest(generation) if generation else ""
    answer, after = commit_shard(store.client, store.settings, number, states[number], commit, judged_by)
    if answer not in ("ok", "done"):
        raise _disturbed(f"shard {number}")
    states[number] = after


def _disturbed(what: str) -> UsageError:
    return UsageError(f"{what} was written by a worker during the restore: stop the workers, and run this again.")
