"""Restore: the store is filled from a snapshot in the warehouse, and workers read on from its offsets.

`prepare` checks that this is possible, and writes nothing. `write` marks the store, removes what it holds, writes the
users and then, for each shard, its offsets and counts; at the very end it removes the mark. So workers see a restore
that was killed, and the next restore starts from nothing.

A row may hold events beyond the offsets of its shard. The worker reads these again: it counts them, and leaves the row
as it is, since the row says which events it holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import NamedTuple

import msgspec

from segmenter import topics, warehouse
from segmenter.errors import TopicRecreated, UsageError
from segmenter.events import Rules
from segmenter.model.generation import Generation, digest
from segmenter.operations.progress import Progress, silent
from segmenter.settings import Settings
from segmenter.shards.commits import restore_commit
from segmenter.shards.state import Commit, Counts, ShardState
from segmenter.store.agreement import add_kinds
from segmenter.store.connection import Store, clock_ms, connect
from segmenter.store.meta import begin_restore, claim_rules, end_restore, holds_users, is_half_restored
from segmenter.store.models import publish
from segmenter.store.shards import acquire_shard, commit_shard, read_stored_shards
from segmenter.topics import Position
from segmenter.warehouse import Cut, Gap, Partition, Snapshot, SnapshotUser, Warehouse

_INSTEAD = (
    "Restore another snapshot by --snapshot, or the raw events by --from-raw, or leave the missing events out with "
    "`segmenter worker --from-log-start` (docs/outages.md)."
)


class Plan(NamedTuple):
    """What the store is to hold."""

    snapshot: Snapshot | None
    """None: it is computed from the raw events."""
    users: int
    read_users: Callable[[], Iterator[list[SnapshotUser]]]
    """Every user, in batches."""
    generation: Generation | None
    states: dict[int, ShardState]
    """The state to give to each shard that had offsets: offsets, topic ids and counts."""
    to_come: int
    """How many records the log holds beyond the offsets."""
    gaps: list[Gap]
    """What the raw events lack; empty for a snapshot."""


def restore(
    settings: Settings, snapshot_id: int | None = None, replace: bool = False, progress: Progress = silent
) -> Plan:
    """Restore a snapshot, by default the latest: `prepare`, then `write`."""
    plan = prepare(settings, snapshot_id, replace)
    with progress("restoring users", plan.users) as advance:
        write(settings, plan, advance)
    return plan


def prepare(settings: Settings, snapshot_id: int | None = None, replace: bool = False) -> Plan:
    """Find a snapshot, by default the latest, and make sure that it can be restored.

    Raises what `require_replaceable` does; `UsageError` for a snapshot without counts; `TopicRecreated`; and
    `LogTruncated` when the log does not hold what follows the snapshot.
    """
    require_replaceable(settings, replace)
    with warehouse.connect(settings) as database:
        warehouse.require_schema(database)
        warehouse.require_rules(database, Rules.of(settings))
        snapshot = warehouse.find_snapshot(database, snapshot_id, "`segmenter restore --from-raw` needs none")
        number = snapshot.snapshot_id
        cuts = warehouse.snapshot_cuts(database, number)
        generation = warehouse.snapshot_generation(database, number)
        states = _kept_states(database, snapshot, cuts, generation)
        reach = warehouse.furthest_cuts(database, number)
    to_come = records_to_come(settings, cuts, _INSTEAD, reach)
    users = partial(_kept_users, settings, number)
    return Plan(snapshot, snapshot.users, users, generation, states, to_come, [])


def _kept_users(settings: Settings, snapshot_id: int) -> Iterator[list[SnapshotUser]]:
    with warehouse.connect(settings) as database:
        yield from warehouse.snapshot_users(database, snapshot_id)


def write(settings: Settings, plan: Plan, on_progress: Callable[[int], None] = lambda users: None) -> None:
    """Make the store hold what the plan says and nothing else. ``on_progress`` is called with the users written.

    Raises `UsageError` when a worker writes meanwhile, or the snapshot is removed.
    """
    with closing(connect(settings)) as client:
        _write_all(Store(client, settings), plan, on_progress)


def _write_all(store: Store, plan: Plan, on_progress: Callable[[int], None]) -> None:
    settings = store.settings
    begin_restore(store.client, settings, plan.snapshot.snapshot_id if plan.snapshot else 0)
    if add_kinds(store.client, settings).kinds != settings.kinds:
        raise _disturbed("a shard")
    if plan.generation is not None and not publish(store.client, settings, plan.generation, None):
        raise _disturbed("the model")
    jumped = time.time_ns() // 1_000_000  # the number of the last change, since the feed does not say how users came
    states = {
        number: acquire_shard(store.client, settings, number)._replace(feed=jumped)
        for number in range(settings.partitions)
    }
    written = 0
    for users in plan.read_users():
        _write_users(store, users, states, plan.generation)
        on_progress(len(users))
        written += len(users)
    if written != plan.users:
        raise UsageError("the snapshot was removed from the warehouse meanwhile: run this again, for the latest.")
    for number, kept in plan.states.items():
        after = kept._replace(census=states[number].census, space=states[number].space)
        _write(store, number, states, Commit([], [], after), plan.generation)
    end_restore(store.client, settings)


def require_replaceable(settings: Settings, replace: bool) -> None:
    """Make sure that what Redis holds may be removed.

    Raises `UsageError` while a worker is alive, and when Redis holds users unless ``replace``; and `RulesDiffer`.
    """
    with closing(connect(settings)) as client:
        claim_rules(client, settings, Rules.of(settings))
        _require_stopped(Store(client, settings))
        if not replace and not is_half_restored(client, settings) and holds_users(client, settings):
            raise UsageError(
                f"Redis holds users under {settings.key_prefix!r}: `segmenter restore --replace` removes them first."
            )


def _require_stopped(store: Store) -> None:
    now_ms = clock_ms(store.client)
    for number, (state, *_) in read_stored_shards(*store).items():
        if now_ms - state.beat_ms < store.settings.stale_after_ms:
            raise UsageError(
                f"a worker held shard {number} {(now_ms - state.beat_ms) / 1_000:.1f} s ago: stop the workers, and run "
                f"this again {store.settings.stale_after_ms / 1_000:.0f} s later."
            )


def _kept_states(
    database: Warehouse, snapshot: Snapshot, cuts: Mapping[Partition, Cut], generation: Generation | None
) -> dict[int, ShardState]:
    counts = warehouse.snapshot_counts(database, snapshot.snapshot_id)
    begun = sorted({part for (_, part), cut in cuts.items() if cut.topic_id})
    if any(number not in counts for number in begun):
        raise UsageError(
            f"snapshot {snapshot.snapshot_id} was taken by a version without counts, so it cannot be restored: "
            "name a later one by --snapshot, or run `segmenter restore --from-raw`."
        )
    return {
        number: state_at(number, cuts, msgspec.json.decode(counts[number], type=Counts), generation) for number in begun
    }


def state_at(number: int, cuts: Mapping[Partition, Cut], counts: Counts, generation: Generation | None) -> ShardState:
    """The state of a shard at its cuts, without the census."""
    own = {topic: cut for (topic, part), cut in cuts.items() if part == number}
    return ShardState(
        token="",
        version=0,
        begun=0,
        offsets={topic: cut.next_pos for topic, cut in own.items() if cut.topic_id},
        topic_ids={topic: cut.topic_id for topic, cut in own.items() if cut.topic_id},
        census={},
        counts=counts,
        generation=generation.number if generation else 0,
        feed=0,
        beat_ms=0,
        caught_up_ms=0,
    )


def records_to_come(
    settings: Settings, cuts: Mapping[Partition, Cut], instead: str, reach: Mapping[Partition, int] = {}
) -> int:
    """The number of records beyond the cuts, after checking that the log holds all that they need.

    Of a topic without any cut, whose kind was added since, it needs only what is there. ``reach`` is how far into each
    partition the rows go at most. Raises `TopicRecreated`, and `LogTruncated`, which says what to do ``instead``.
    """
    ids = topics.topic_ids(settings)
    known = {topic for topic, _ in cuts}
    whole = {(topic, part): Cut(None, 0) for topic in known for part in range(settings.partitions)}
    cuts = whole | dict(cuts)

    def position(partition: Partition) -> Position:
        return settings.topic_prefix + partition[0], partition[1]

    for (topic, _), cut in cuts.items():
        if cut.topic_id is not None and cut.topic_id != (found := ids[settings.topic_prefix + topic]):
            raise TopicRecreated(topic, cut.topic_id, found)
    begins, ends = topics.beginnings(settings, ids), topics.ends(settings, ids)
    needed = {position(at): cut.next_pos for at, cut in cuts.items()}
    topics.check_beginnings(needed, begins, instead)
    topics.check_ends(needed, ends)
    topics.check_ends({position(at): cut for at, cut in reach.items()}, ends)
    return sum(end - needed.get(at, begins[at]) for at, end in ends.items())


def _write_users(
    store: Store, users: Sequence[SnapshotUser], states: dict[int, ShardState], generation: Generation | None
) -> None:
    for number in {user.part for user in users}:
        own = [user for user in users if user.part == number]
        for first in range(0, len(own), store.settings.commit_rows):
            rows = own[first : first + store.settings.commit_rows]
            offsets = [{topic: cut - 1 for topic, cut in user.cuts.items() if cut} for user in rows]
            commit = restore_commit(
                [user.user for user in rows],
                [user.profile for user in rows],
                offsets,
                states[number],
                store.settings.kinds,
                generation,
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
