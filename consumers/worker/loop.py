"""The worker: keeps the live store exactly as the log says.

With each shard that it holds, always in this order:

1. poll     the records of open shards
2. cut      decode, judge and deduplicate them; cut them into pieces that one commit can hold
3. tell     what is no event goes to the dead-letter topic, and is acknowledged
4. read     the rows of a piece's users, fold its events into them, and judge the users
5. commit   one script writes rows, census, audiences, feed and the next offsets, or nothing
6. mark     Kafka's own offsets, for tools that show lag; nothing here reads them

A crash between any two loses nothing and counts nothing twice. Before 5 all is done again from the stored offsets:
a dead letter is then repeated under its key, and readers drop repeats. After 5 nothing is left to be done.

Between polls the worker beats once a second, does what others wish of its shards, sweeps users whom an older generation
judged, and, if it holds shard 0, looks for the next generation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from typing import NamedTuple

import structlog

from consumers.trainer.trainer import Model
from consumers.worker.commands import grant
from consumers.worker.heartbeat import say_fresh
from consumers.worker.membership import Holding
from consumers.worker.owned_shard import OwnedShard, Superseded, fold, needs_sweep, sweep
from segmenter import crash_points
from segmenter.errors import RolledBack, SegmenterError, Stolen, Unreachable
from segmenter.events import TOPICS, Rules
from segmenter.settings import Settings
from segmenter.shards.batches import Piece, cut
from segmenter.shards.row import Row
from segmenter.store.connection import Store, connect
from segmenter.store.meta import claim
from segmenter.topics import Position, Record, TopicGuard, drop_producer, ends, ensure_topics, open_producer
from segmenter.topics.dead_letters import TELL_SECONDS, tell

POLL_RECORDS = 20_000
BEAT_SECONDS = 1.0
GIVE_UP_AFTER = 8
"""How often in a row shards may fail before a run that is to end gives up."""

MOST_STEPS = 100
"""How many steps a run that is to end takes at the most; each saves a share of the inertia, so few are needed."""

log = structlog.get_logger()


class WorkerResult(NamedTuple):
    """What a run did, and the seconds from its first record to its last."""

    records: int
    rows: int
    dead_letters: int
    seconds: float


class Worker:
    """One member of the group. All that it knows can be lost: the store and the log hold it."""

    def __init__(
        self, settings: Settings, may_refit: bool, from_log_start: bool, on_progress: Callable[[int], None]
    ) -> None:
        self._settings = settings
        self._store = Store(connect(settings), settings)
        claim(self._store.client, settings, Rules.of(settings))
        ensure_topics(settings)
        self._guard = TopicGuard(settings)
        self._producer = open_producer(settings, TELL_SECONDS)
        self._holding = Holding(self._store, self._guard, from_log_start)
        self._model = Model(self._store)
        self._may_refit = may_refit
        self._on_progress = on_progress
        self._gives_up = False
        self._stopping: Callable[[], bool] = lambda: False
        self._next_beat = 0.0
        self._began = self._ended = time.monotonic()
        self._records = self._rows = self._refused = 0

    def run(self, goal: Mapping[Position, int] | None, stopping: Callable[[], bool]) -> WorkerResult:
        """Work until ``stopping`` says so or, given a goal, until all held shards are read up to it and settled."""
        self._gives_up = goal is not None
        self._stopping = stopping
        try:
            while not stopping() and not self._turn(goal):
                pass
            return WorkerResult(self._records, self._rows, self._refused, self._ended - self._began)
        finally:
            self._model.stop()
            self._holding.leave()
            self._guard.close()
            self._store.client.close()
            drop_producer(self._producer)

    def _turn(self, goal: Mapping[Position, int] | None) -> bool:
        """Everything once; tells whether a goal has been reached. A failure closes the shards, to be taken anew."""
        try:
            try:
                return self._work(goal)
            except Superseded:
                self._catch_up_with_model()
        except Stolen as reason:
            self._holding.rejoin(reason)
        except (RolledBack, Unreachable) as reason:
            if self._gives_up and self._holding.failures >= GIVE_UP_AFTER:
                raise
            self._holding.close_all(reason)
        return False

    def _work(self, goal: Mapping[Position, int] | None) -> bool:
        self._holding.follow()
        if time.monotonic() >= self._next_beat and not self._holding.resting():
            self._beat()
        elif any(shard.quiet_until is not None for shard in self._shards()):
            grant(self._store, self._holding, self._model.generation)
        self._holding.open(self._model.generation)
        unswept = [shard for shard in self._shards() if needs_sweep(shard, self._model.generation)]
        unswept = [shard for shard in unswept if shard.quiet_until is None]
        for shard, records in self._holding.poll(0 if unswept else 100, POLL_RECORDS):
            self._take_in(shard, records)
        for shard in unswept:
            self._sweep(shard)
        if goal is not None and not self._stopping() and self._reached(goal):
            self._settle()
            return True
        return False

    def _shards(self) -> list[OwnedShard]:
        return list(self._holding.shards.values())

    def _take_in(self, shard: OwnedShard, records: list[Record]) -> None:
        """Steps 2 to 5 for the records of one poll."""
        if not self._records:
            self._began = time.monotonic()
        crash_points.passed("poll")
        prefix, rules = self._settings.topic_prefix, Rules.of(self._settings)
        pieces = cut(records, shard.offsets, prefix, shard.seen, rules, self._settings.commit_rows)
        for piece in takewhile(lambda _: not self._stopping(), pieces):
            crash_points.passed("cut")
            if piece.refused:
                tell(self._producer, self._settings, piece.refused)
                crash_points.passed("tell")
            rows = self._fold(shard, piece)
            self._model.watch(rows)
            self._rows += len(rows)
            taken = len(piece.events) + piece.duplicates + len(piece.refused)
            self._records += taken
            self._refused += len(piece.refused)
            self._ended = time.monotonic()
            self._on_progress(taken)

    def _fold(self, shard: OwnedShard, piece: Piece) -> Sequence[Row]:
        while True:
            try:
                return fold(self._store, shard, piece, self._model.generation)
            except Superseded:
                self._catch_up_with_model()

    def _sweep(self, shard: OwnedShard) -> None:
        generation = self._model.generation
        if generation is not None and needs_sweep(shard, generation):
            sweep(self._store, shard, generation)

    def _follow_model(self) -> bool:
        """Judge by the current generation from now on; a sweep that is under way starts again."""
        changed = self._model.refresh()
        if changed:
            for shard in self._shards():
                shard.unswept = None
        return changed

    def _catch_up_with_model(self) -> None:
        """The store said that another generation is current: there must be one, and one that can be read."""
        if not self._follow_model():
            raise SegmenterError(
                "the model in Redis was written by another version of segmenter: run the same version everywhere, or "
                "set SEGMENTER_KEY_PREFIX to an unused one."
            )

    def _beat(self) -> None:
        """What is due once a second: follow the model, say how fresh the shards are, look for a better model."""
        self._next_beat = time.monotonic() + BEAT_SECONDS
        self._follow_model()
        self._holding.meet()
        if self._holding.shards:
            say_fresh(self._store, self._holding, must_know=self._gives_up)
            self._holding.tell_lag_tools()
            crash_points.passed("mark")
            grant(self._store, self._holding, self._model.generation)
        if self._may_refit and 0 in self._holding.shards:
            self._model.advance()

    def _reached(self, goal: Mapping[Position, int]) -> bool:
        if not self._holding.complete():
            return False
        prefix = self._settings.topic_prefix
        positions = self._holding.positions()
        return all(
            positions[part][topic.removeprefix(prefix)] >= end
            for (topic, part), end in goal.items()
            if part in positions
        )

    def _settle(self) -> None:
        """End with everyone in the held shards judged by one generation, and that one as good as it gets."""
        alone = len(self._holding.shards) == self._settings.partitions
        if self._may_refit and alone:
            self._model.refit_now()
        for _ in range(MOST_STEPS):
            self._follow_model()
            self._sweep_all()
            if not (self._may_refit and alone and self._model.step_now()):
                break
        say_fresh(self._store, self._holding, must_know=True)

    def _sweep_all(self) -> None:
        for shard in self._shards():
            while needs_sweep(shard, self._model.generation):
                try:
                    self._sweep(shard)
                except Superseded:
                    self._catch_up_with_model()


def run(
    settings: Settings,
    once: bool,
    may_refit: bool = True,
    on_progress: Callable[[int], None] = lambda records: None,
    stopping: Callable[[], bool] = lambda: False,
    from_log_start: bool = False,
) -> WorkerResult:
    """Work until ``stopping``; with ``once``, until the shards held are read to where the log ends now, and settled.

    A shard of which Redis knows nothing and whose first events the log no longer holds is `LogTruncated`, unless
    ``from_log_start``.
    """
    worker = Worker(settings, may_refit, from_log_start, on_progress)
    goal = ends(settings, [settings.topic_prefix + topic for topic in TOPICS]) if once else None
    return worker.run(goal, stopping)
