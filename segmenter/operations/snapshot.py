"""The snapshot: what the stream holds, copied into the warehouse while the stream goes on.

The shards' offsets are read first and the rows after them, so a row holds at least the events below its shard's
offsets, and possibly later ones. Rows and offsets are committed together, so a user's cut in each topic is
exactly the greater of the shard's offset and the one after the last event of that topic in the row.

This does not hold if Redis loses writes meanwhile: then rows may lack events below those offsets. But then the shard
is at an earlier version, or has been acquired again, so a copy that saw either is thrown away.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from typing import NamedTuple

import msgspec

from segmenter import warehouse
from segmenter.errors import Fenced, NothingYet
from segmenter.events import Rules
from segmenter.events.sharding import shard_of
from segmenter.kinds import catalogue
from segmenter.model.features import features
from segmenter.model.profiles import fields
from segmenter.operations.history.following import follow
from segmenter.operations.progress import Progress, silent
from segmenter.settings import Settings
from segmenter.shards.row import Row
from segmenter.shards.state import ShardState
from segmenter.store.agreement import unless_kinds_added
from segmenter.store.connection import Store, clock_ms, connect
from segmenter.store.meta import check, in_force, require_rules, require_whole
from segmenter.store.models import read_model
from segmenter.store.rows import scan_rows
from segmenter.store.shards import read_shards
from segmenter.warehouse import Cut, Partition, Snapshot, UserRow, Warehouse

TRIES = 3
"""How many copies are tried while shards change owners."""


class Taken(NamedTuple):
    """A snapshot, the numbers of those that were removed after it, and the seconds it took."""

    snapshot: Snapshot
    removed: list[int]
    seconds: float


def take(settings: Settings, now_ms: int, incremental: bool = False, progress: Progress = silent) -> Snapshot:
    """Store a snapshot of the store in the warehouse, stopping nothing; it is there as a whole or not at all.

    An ``incremental`` one holds the users who are not as in the whole one before it, and reads like a whole one.
    Raises `RulesDiffer` when the store or the warehouse judges events by other rules, `NothingYet` when no worker has
    written to the store yet, or when it is half restored, and `Fenced` when shards change owners again and again.
    """
    with closing(connect(settings)) as client, warehouse.connect(settings) as database:
        check(client, settings)
        rules = Rules.of(settings)
        warehouse.require_rules(database, rules, may_lack_kinds=True)  # what matters is what the store has
        warehouse.migrate(database, now_ms)
        warehouse.claim_rules(database, rules, may_lack_kinds=True)
        for _ in range(TRIES):
            with suppress(Fenced):
                store = Store(client, in_force(settings, require_rules(client, settings, rules)))
                return _copy(store, database._replace(kinds=store.settings.kinds), now_ms, incremental, progress)
    raise Fenced("shards lost writes or changed owners during each snapshot: try again when workers are steady")


def take_and_keep(
    settings: Settings, keep: int | None, incremental: bool = False, progress: Progress = silent
) -> Taken:
    """Take a snapshot, and remove all but the latest ``keep``, and what is older than ``retention_days``.

    None keeps all. Raises what `take` does.
    """
    began, now_ms = time.monotonic(), time.time_ns() // 1_000_000
    taken, removed = take(settings, now_ms, incremental, progress), []
    with warehouse.connect(settings) as database:
        if settings.retention_days:
            before_ms = now_ms - settings.retention_days * 86_400_000
            removed = warehouse.remove_snapshots(database, before_ms=before_ms)
            warehouse.forget_changes(database, before_ms)
        if keep is not None:
            removed += warehouse.remove_snapshots(database, keep)
    return Taken(taken, removed, round(time.monotonic() - began, 3))


def _copy(store: Store, database: Warehouse, now_ms: int, incremental: bool, progress: Progress) -> Snapshot:
    client, settings = store
    require_whole(client, settings)
    model = read_model(client, settings)
    shards = read_shards(client, settings)
    begun = {part: state for part, state in shards.items() if state.offsets is not None}
    if not begun:
        raise NothingYet("there is nothing to take a snapshot of: run `segmenter worker --once` first.")
    cuts = shard_cuts(shards, settings)
    began_ms = clock_ms(client)
    users = user_rows(store, begun, cuts)
    body = None if model is None else model.encode().decode()
    counts = {part: msgspec.json.encode(state.counts).decode() for part, state in begun.items()}
    names = {segment.slug: segment.name for segment in model.segments} if model else {}
    total = sum(tally.users for state in begun.values() for tally in state.census.values())
    with progress("copying users", total) as advance:
        return warehouse.write_snapshot(
            database,
            now_ms,
            cuts,
            _counted(users, advance),
            model.number if model else 0,
            body,
            counts,
            names=names,
            follow=lambda number, kept: follow(store, kept, began_ms, number),
            incremental=incremental,
        )


def _counted(users: Iterator[list[UserRow]], advance: Callable[[int], None]) -> Iterator[list[UserRow]]:
    for batch in users:
        yield batch
        advance(len(batch))


def user_rows(store: Store, begun: Mapping[int, ShardState], cuts: Mapping[Partition, Cut]) -> Iterator[list[UserRow]]:
    """Every user, in batches. Raises `Fenced` at the end if a shard may have lost writes, or kinds were added."""
    with unless_kinds_added(store):
        for rows in scan_rows(*store):
            yield [user_row(row, cuts, store.settings) for row in rows]
    now = read_shards(*store)
    for part, state in begun.items():
        if part not in now or now[part].token != state.token or now[part].version < state.version:
            raise Fenced(f"shard {part} lost writes or changed owners")


def shard_cuts(shards: Mapping[int, ShardState], settings: Settings) -> dict[Partition, Cut]:
    """The next offset of every partition; 0 of a shard that no worker has written yet."""
    cuts = {}
    for part in range(settings.partitions):
        state = shards.get(part)
        offsets = (state.offsets if state else None) or {}
        for topic in [kind.topic for kind in settings.kinds]:
            cuts[topic, part] = Cut(state.topic_ids.get(topic) if state else None, offsets.get(topic, 0))
    return cuts


def user_row(row: Row, cuts: Mapping[Partition, Cut], settings: Settings) -> UserRow:
    """One row of the stream in the order of ``warehouse.user_columns``."""
    part = shard_of(row.user, settings.partitions)
    profile = dict(zip(fields(settings.kinds), row.profile, strict=True))
    topics = [kind.topic for kind in settings.kinds]
    return (
        row.user,
        part,
        *row.profile,
        *features(profile, catalogue(settings.kinds)).values(),
        row.segment,
        row.generation,
        *(max(cuts[topic, part].next_pos, row.offsets.get(topic, -1) + 1) for topic in topics),
    )
