"""The worker: keeps the live store exactly as the log says.

For each shard that it owns, always in this order:

1. poll           the records of the shard
2. decode         them, find duplicates, and divide them into batches, each of which one commit can apply
3. dead letters   publish one for each invalid record of a batch, and wait until they are acknowledged
4. fold           read the rows of the batch's users, fold the events into them, and judge the users
5. commit         one script writes rows, census, audiences, feed and the next offsets, or nothing
6. lag offsets    commit Kafka's own offsets, for tools that show lag; nothing here reads them

A crash between any two of these loses nothing and counts nothing twice. Before 5, everything is done again from the
stored offsets: a dead letter is then published again under the same key, and readers drop repeats. After 5, nothing is
left to do.

A shard found corrupt in Redis at any of these is parked: the worker goes on with the others until it is repaired.

Between polls the worker sends a heartbeat once a second, executes commands, sweeps users that an older generation
judged, and, if it owns shard 0, runs the trainer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from typing import NamedTuple

from consumers.trainer.trainer import Trainer
from consumers.worker.commands import execute_commands
from consumers.worker.groups import KindsAdded
from consumers.worker.heartbeat import send_heartbeats
from consumers.worker.membership import Membership
from consumers.worker.owned_shard import OwnedShard, Superseded, fold, needs_sweep, sweep
from segmenter import crash_points
from segmenter.errors import ClientLost, Fenced, OwnershipLost, SegmenterError, Unreachable
from segmenter.events import Rules
from segmenter.settings import Settings
from segmenter.shards.batches import Batch, batches_of
from segmenter.shards.row import Row
from segmenter.store.agreement import add_kinds
from segmenter.store.connection import Store, connect
from segmenter.store.meta import claim
from segmenter.store.models import REPLACE
from segmenter.topics import (
    Position,
    Record,
    TopicGuard,
    drop_producer,
    ensure_topics,
    open_producer,
)
from segmenter.topics.dead_letters import ACKNOWLEDGE_SECONDS, publish_dead_letters

POLL_RECORDS, HEARTBEAT_SECONDS = 20_000, 1.0
GIVE_UP_AFTER, MOST_STEPS = 8, 100
"""How often in a row shards may fail, and how many steps are taken, before a run that is to end (``once``) ends."""


class WorkerResult(NamedTuple):
    """The counts of a run, and the seconds from its first record to its last."""

    records: int
    rows: int
    dead_letters: int
    seconds: float


class Worker:
    """One member of the group. All its state can be lost: the store and the log hold it."""

    def __init__(
        self, settings: Settings, may_refit: bool, from_log_start: bool, on_progress: Callable[[int], None]
    ) -> None:
        client = connect(settings)
        claim(client, settings, Rules.of(settings))
        ensure_topics(settings)
        self._wanted, self.settings = settings, add_kinds(client, settings)
        self._store = Store(client, self.settings)
        self._guard = TopicGuard(self.settings)
        self._producer = open_producer(self.settings, ACKNOWLEDGE_SECONDS)
        self._membership = Membership(self._store, self._guard, settings, from_log_start)
        self._trainer = Trainer(self._store)
        self._may_refit = may_refit
        self._on_progress = on_progress
        self._gives_up = False
        self._stopping: Callable[[], bool] = lambda: False
        self._next_heartbeat = 0.0
        self._began = self._ended = time.monotonic()
        self._records = self._rows = self._invalid = 0

    def run(self, goal: Mapping[Position, int] | None, stopping: Callable[[], bool]) -> WorkerResult:
        """Work until ``stopping`` says so or, given a goal, until all owned shards are read up to it and settled.

        Raises `KindsAdded`.
        """
        self._gives_up = goal is not None
        self._stopping = stopping
        try:
            while not stopping() and not self._turn(goal):
                pass
            return self.result()
        finally:
            self._trainer.stop()
            self._membership.leave()
            self._guard.close()
            self._store.client.close()
            drop_producer(self._producer)

    def result(self) -> WorkerResult:
        """The counts so far."""
        return WorkerResult(self._records, self._rows, self._invalid, self._ended - self._began)

    def _turn(self, goal: Mapping[Position, int] | None) -> bool:
        """Do everything once; returns whether the goal is reached. After a failure, shards must be acquired again."""
        try:
            try:
                return self._work(goal)
            except Superseded:
                self._catch_up_with_model()
        except (OwnershipLost, ClientLost) as reason:
            self._membership.rejoin(reason)
        except (Fenced, Unreachable) as reason:
            if self._gives_up and self._membership.failures >= GIVE_UP_AFTER:
                raise
            self._membership.release_all(reason)
        return False

    def _work(self, goal: Mapping[Position, int] | None) -> bool:
        self._membership.follow()
        if time.monotonic() >= self._next_heartbeat and not self._membership.backing_off():
            self._heartbeat()
        elif any(shard.paused_until is not None for shard in self._shards()):
            execute_commands(self._store, self._membership, self._trainer.generation)
        self._membership.acquire(self._trainer.generation)
        for shard, records in self._membership.poll(0 if self._unswept() else 100, POLL_RECORDS):
            with self._membership.parking(shard.number):
                self._apply(shard, records)
        for shard in self._unswept():
            with self._membership.parking(shard.number):
                self._sweep(shard)
        if goal is not None and not self._stopping() and self._membership.has_reached(goal):
            self._settle()
            for parked in self._membership.parked.values():
                raise parked.reason
            return True
        return False

    def _unswept(self) -> list[OwnedShard]:
        """The owned shards that are to be swept now."""
        generation = self._trainer.generation
        return [shard for shard in self._shards() if shard.paused_until is None and needs_sweep(shard, generation)]

    def _shards(self) -> list[OwnedShard]:
        return list(self._membership.shards.values())

    def _apply(self, shard: OwnedShard, records: list[Record]) -> None:
        """Steps 2 to 5 for the records of one poll."""
        began = time.monotonic()
        crash_points.reached("poll")
        prefix, rules = self.settings.topic_prefix, Rules.of(self.settings)
        batches = batches_of(records, shard.offsets, prefix, shard.seen, rules, self.settings.commit_rows)
        for batch in takewhile(lambda _: not self._stopping(), batches):
            crash_points.reached("decode")
            if not self._records:
                self._began = began
            if batch.invalid:
                publish_dead_letters(self._producer, self.settings, batch.invalid)
                crash_points.reached("dead_letters")
            rows = self._fold(shard, batch)
            if self._trains():
                self._trainer.watch(rows)
            self._rows += len(rows)
            records_of_batch = len(batch.events) + batch.duplicates + len(batch.invalid)
            self._records += records_of_batch
            self._invalid += len(batch.invalid)
            self._ended = time.monotonic()
            self._on_progress(records_of_batch)

    def _fold(self, shard: OwnedShard, batch: Batch) -> Sequence[Row]:
        while True:
            try:
                return fold(self._store, shard, batch, self._trainer.generation)
            except Superseded:
                self._catch_up_with_model()

    def _sweep(self, shard: OwnedShard) -> None:
        generation = self._trainer.generation
        if generation is not None and needs_sweep(shard, generation):
            sweep(self._store, shard, generation)

    def _follow_model(self) -> bool:
        """Judge by the current generation from now on; a sweep that has begun starts again."""
        changed = self._trainer.refresh()
        if changed:
            for shard in self._shards():
                shard.unswept = None
        return changed

    def _catch_up_with_model(self) -> None:
        """Follow the model after the store has said that another generation is current."""
        if not self._follow_model():
            raise SegmenterError(f"the model in Redis does not fit its digest: {REPLACE}")

    def _heartbeat(self) -> None:
        """What is due once a second: follow the model, send heartbeats, execute commands, run the trainer."""
        self._next_heartbeat = time.monotonic() + HEARTBEAT_SECONDS
        self._follow_model()
        self._membership.check_group()
        self._membership.unpark()
        if self._membership.shards:
            self._send_heartbeats()
            self._membership.commit_lag_offsets()
            crash_points.reached("lag_offsets")
            execute_commands(self._store, self._membership, self._trainer.generation)
        if self._trains():
            self._trainer.advance()
        else:
            self._trainer.rest()

    def _send_heartbeats(self) -> None:
        send_heartbeats(self._store, self._membership, self._wanted, self._trainer.generation, self._gives_up)
        wanted = self._wanted
        if wanted.kinds != self.settings.kinds != add_kinds(self._store.client, wanted).kinds:
            raise KindsAdded

    def _trains(self) -> bool:
        return self._may_refit and 0 in self._membership.shards

    def _settle(self) -> None:
        """End with all users of the owned shards judged by one generation, after all steps that are worth it."""
        alone = len(self._membership.shards) == self.settings.partitions
        if self._may_refit and alone:
            self._send_heartbeats()
            self._trainer.refit_now()
        for _ in range(MOST_STEPS):
            self._follow_model()
            self._sweep_all()
            if not (self._may_refit and alone and self._trainer.step_now()):
                break
        self._send_heartbeats()

    def _sweep_all(self) -> None:
        for shard in self._shards():
            with self._membership.parking(shard.number):
                while needs_sweep(shard, self._trainer.generation):
                    try:
                        self._sweep(shard)
                    except Superseded:
                        self._catch_up_with_model()
