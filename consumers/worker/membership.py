"""The shards that the group gave to this member, and which of them are open."""

from __future__ import annotations

import time

import structlog

from consumers.backoff import pause_seconds
from consumers.worker.owned_shard import OwnedShard, take
from segmenter.errors import LogTruncated, PartitionsDiffer, SegmenterError, Stolen
from segmenter.events import Rules
from segmenter.model.generation import Generation
from segmenter.store.connection import Store
from segmenter.store.meta import claim, group_in_use, next_group
from segmenter.topics import Record, ShardConsumer, TopicGuard, check_ends, ends, event_topics

log = structlog.get_logger()


class Holding:
    """A shard is either open, its records flowing, or closed, waiting to be taken (again)."""

    def __init__(self, store: Store, guard: TopicGuard, from_log_start: bool = False) -> None:
        self._store = store
        self._guard = guard
        self._from_log_start = from_log_start
        self._stuck_in = ""
        self._consumer: ShardConsumer | None = None
        self._seen_assignments = 0
        self._not_before = 0.0
        self._topic_ids: dict[str, str] = {}
        self.shards: dict[int, OwnedShard] = {}
        self.failures = 0
        """How often in a row shards had to be closed before they could work."""

    def follow(self) -> None:
        """Be a member of the group, and drop what it gave to others; what stays goes on from where it was."""
        if self._consumer is None:
            if self.resting():
                return
            self._consumer = ShardConsumer(self._store.settings, group_in_use(self._store.client, self._store.settings))
            self._seen_assignments = 0
        if self._consumer.stuck():
            self._give_up_rebalance(self._consumer.group)
        while self._seen_assignments != self._consumer.assignments:
            self._seen_assignments = self._consumer.assignments
            assigned = self._assigned(self._consumer)
            log.info("shards assigned", shards=sorted(assigned))
            self.shards = {number: shard for number, shard in self.shards.items() if number in assigned}
            for number, shard in self.shards.items():
                if shard.quiet_until is None:
                    self._consumer.start(number, shard.offsets, shard.seen.next)

    def _give_up_rebalance(self, group: str) -> None:
        """Join anew or, if that has been tried, have all workers meet in a new group: the broker lost this one.

        The embedded broker (Tansu 0.6) waits for ever for a member that left at the wrong moment.
        """
        self._guard.ids()  # a broker that is away is no reason
        if self._stuck_in == group:
            next_group(self._store.client, self._store.settings, group)
        self._stuck_in = group
        raise Stolen(f"the group {group} has been rebalancing without end")

    def meet(self) -> None:
        """Raise `Stolen` when the workers have agreed to meet in another group."""
        group = group_in_use(self._store.client, self._store.settings)
        if self._consumer is not None and self._consumer.group != group:
            raise Stolen(f"the workers meet in the group {group} now")

    def open(self, generation: Generation | None) -> None:
        """Take the assigned shards that are not open, one after the other, unless a pause is on."""
        if self._consumer is None or self.resting():
            return
        waiting = sorted(self._assigned(self._consumer) - self.shards.keys())
        if not waiting:
            return
        settings = self._store.settings
        claim(self._store.client, settings, Rules.of(settings))
        at_end = ends(settings, event_topics(settings))
        topic_ids = self._topic_ids = self._guard.ids()
        for number in waiting:
            begins = self._consumer.beginnings(number)
            shard = take(self._store, number, topic_ids, begins, generation, self._from_log_start)
            needed = {(settings.topic_prefix + topic, number): offset for topic, offset in shard.offsets.items()}
            check_ends(needed, at_end)
            self._consumer.start(number, shard.offsets, shard.seen.next)
            self.shards[number] = shard
            log.info("shard opened", shard=number, offsets=dict(shard.offsets))

    def resting(self) -> bool:
        """Whether the pause after a failure is still on: nothing that has just failed is to be tried again."""
        return time.monotonic() < self._not_before

    def close_all(self, reason: SegmenterError) -> None:
        """Let go of the open shards, and wait a while, longer each time, before taking them again."""
        if self._consumer is not None:
            for number in self.shards:
                self._consumer.stop(number)
        self.shards.clear()
        self.failures += 1
        pause = pause_seconds(self.failures)
        self._not_before = time.monotonic() + pause
        log.warning("shards closed", reason=str(reason), seconds=round(pause, 2))

    def rejoin(self, reason: SegmenterError) -> None:
        """Leave the group, to join it again: another member was given what this one thought it had."""
        log.warning("joining the group again", reason=str(reason))
        self.shards.clear()
        self.leave()

    def quieten(self, shard: OwnedShard, seconds: float) -> None:
        """Let no records of a shard flow for so many seconds from now; none let them flow again."""
        if self._consumer is not None and seconds > 0:
            self._consumer.stop(shard.number)
        if seconds > 0 or shard.quiet_until is not None:
            shard.quiet_until = time.monotonic() + seconds

    def wake(self) -> None:
        """Let the records of those shards flow again that have been quiet for long enough."""
        for number, shard in self.shards.items():
            if shard.quiet_until is not None and shard.quiet_until <= time.monotonic():
                shard.quiet_until = None
                if self._consumer is not None:
                    self._consumer.start(number, shard.offsets, shard.seen.next)

    def poll(self, timeout_ms: int, max_records: int) -> list[tuple[OwnedShard, list[Record]]]:
        """New records of the open shards, certain to be of the topics that the shards' offsets belong to.

        With none open it still waits: the member takes part in rebalances, and so keeps its place in the group.
        """
        if self._consumer is None:
            time.sleep(timeout_ms / 1000)
            return []
        try:
            polled = self._consumer.poll(timeout_ms, max_records)
        except LogTruncated:
            self._check_topics()
            raise
        found = [(self.shards[number], records) for number, records in polled.items() if number in self.shards]
        if found:
            self._check_topics()
        return found

    def _check_topics(self) -> None:
        """Raise `TopicRecreated` unless the topics are still those on which this member has opened shards."""
        self._guard.check(self._topic_ids)

    def _assigned(self, consumer: ShardConsumer) -> set[int]:
        """The shards that the group gives to this member; without a topic that is gone, they are none."""
        try:
            return consumer.shards()
        except PartitionsDiffer:
            self._check_topics()
            raise

    def complete(self) -> bool:
        """Whether this member has been given shards, and all of them are open."""
        return bool(self.shards) and self._consumer is not None and self.shards.keys() == self._consumer.shards()

    def positions(self) -> dict[int, dict[str, int]]:
        """The next offset of each topic that will be polled, by open shard."""
        return {number: self._consumer.positions(number) for number in self.shards} if self._consumer else {}

    def at_end(self) -> set[int]:
        """Which open shards have been polled whole, as the broker says now. Raises `TopicRecreated`."""
        found = self._consumer.at_end(self.shards) if self._consumer else set()
        self._check_topics()
        return found

    def tell_lag_tools(self) -> None:
        """Commit offsets to Kafka for tools that show lag, just after Redis has answered."""
        if self._consumer is not None:
            offsets = {number: shard.offsets for number, shard in self.shards.items()}
            self._consumer.tell_lag_tools(offsets, time.time_ns() // 1_000_000)

    def leave(self) -> None:
        """Leave the group."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None
