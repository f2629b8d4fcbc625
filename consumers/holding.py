"""The shards that the group gave to this member, and which of them are open."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping

import structlog

from consumers.shard import OwnedShard, Store, take
from segmenter.errors import SegmenterError, Stolen
from segmenter.generation import Generation
from segmenter.topics import Record, ShardConsumer

MAX_PAUSE_SECONDS = 5.0

log = structlog.get_logger()


class Holding:
    """A shard is either open, its records flowing, or closed, waiting to be taken (again)."""

    def __init__(self, store: Store, topic_ids: Mapping[str, str]) -> None:
        self._store = store
        self._topic_ids = topic_ids
        self._consumer = ShardConsumer(store.settings)
        self._seen_assignments = 0
        self._not_before = 0.0
        self.shards: dict[int, OwnedShard] = {}
        self.failures = 0
        """How often in a row shards had to be closed before they could work."""

    def open(self, generation: Generation | None) -> None:
        """Take the assigned shards that are not open, one after the other, unless a pause is on."""
        if self._consumer.stuck():
            self.rejoin(Stolen("the group has been rebalancing without end"))
        self._follow_assignment()
        if time.monotonic() < self._not_before:
            return
        for number in sorted(self._consumer.shards() - self.shards.keys()):
            beginnings = self._consumer.beginnings(number)
            shard = take(self._store, number, self._topic_ids, beginnings, generation)
            self._consumer.start(number, shard.offsets, back=self._store.settings.duplicate_window)
            self.shards[number] = shard
            log.info("shard opened", shard=number, offsets=dict(shard.offsets))

    def close_all(self, reason: SegmenterError) -> None:
        """Let go of the open shards, and wait a while, longer each time, before taking them again."""
        for number in self.shards.keys() & self._consumer.shards():
            self._consumer.stop(number)
        self.shards.clear()
        self.failures += 1
        pause = random.uniform(0, min(MAX_PAUSE_SECONDS, 0.1 * 2**self.failures))
        self._not_before = time.monotonic() + pause
        log.warning("shards closed", reason=str(reason), seconds=round(pause, 2))

    def rejoin(self, reason: SegmenterError) -> None:
        """Leave the group and join it again: another member has been given what this one thought it had."""
        log.warning("joining the group again", reason=str(reason))
        self.shards.clear()
        self._consumer.close()
        self._consumer = ShardConsumer(self._store.settings)
        self._seen_assignments = 0

    def poll(self, timeout_ms: int, max_records: int) -> list[tuple[OwnedShard, list[Record]]]:
        """New records of the open shards."""
        polled = self._consumer.poll(timeout_ms, max_records)
        return [(self.shards[number], records) for number, records in polled.items() if number in self.shards]

    def complete(self) -> bool:
        """Whether this member has been given shards, and all of them are open."""
        return bool(self.shards) and self.shards.keys() == self._consumer.shards()

    def positions(self) -> dict[int, dict[str, int]]:
        """The next offset of each topic that will be polled, by open shard."""
        return {number: self._consumer.positions(number) for number in self.shards}

    def at_end(self) -> set[int]:
        """Which open shards have been polled whole, as the broker says now."""
        return self._consumer.at_end(self.shards)

    def tell_lag_tools(self) -> None:
        """Commit offsets to Kafka for tools that show lag."""
        self._consumer.tell_lag_tools({number: shard.offsets for number, shard in self.shards.items()})

    def leave(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _follow_assignment(self) -> None:
        """Drop what was given to others; what stays flows on from where it was."""
        while self._seen_assignments != self._consumer.assignments:
            self._seen_assignments = self._consumer.assignments
            assigned = self._consumer.shards()
            self.shards = {number: shard for number, shard in self.shards.items() if number in assigned}
            for number, shard in self.shards.items():
                self._consumer.start(number, shard.offsets, back=0)
