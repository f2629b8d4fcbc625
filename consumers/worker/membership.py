"""Membership in the consumer group: the shards that it assigns to this worker, and which of them are acquired."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from consumers.backoff import backoff_seconds
from consumers.worker.owned_shard import OwnedShard, acquire
from segmenter.errors import LogTruncated, OwnershipLost, PartitionsDiffer, SegmenterError
from segmenter.events import Rules
from segmenter.model.generation import Generation
from segmenter.shards.duplicates import DuplicateWindow
from segmenter.store.connection import Store
from segmenter.store.meta import claim, group_in_use, next_group
from segmenter.topics import Record, ShardConsumer, TopicGuard, check_ends, ends, event_topics

INTERRUPTED_SECONDS = 0.05
"""Between fetches that are no further apart, nobody deletes a topic, makes it anew and fills it to where we were."""

log = structlog.get_logger()


class Membership:
    """An assigned shard is acquired, and its records are polled, or it waits to be acquired (again)."""

    def __init__(self, store: Store, guard: TopicGuard, from_log_start: bool = False) -> None:
        self._store = store
        self._guard = guard
        self._from_log_start = from_log_start
        self._key = secrets.token_bytes(16)
        self._remembered: dict[int, DuplicateWindow] = {}
        """The duplicate windows of assigned shards that were released."""
        self._stuck_in = ""
        """The group that was left during an endless rebalance, until a group assigns shards again."""
        self._consumer: ShardConsumer | None = None
        self._seen_assignments = 0
        self._not_before = 0.0
        self._topic_ids: dict[str, str] = {}
        self._started: set[int] = set()
        """Shards of which no record has been delivered since they were started."""
        self._polled = 0.0
        self.shards: dict[int, OwnedShard] = {}
        self.failures = 0
        """How often in a row shards had to be released before they could work."""

    def follow(self) -> None:
        """Join the group if need be, and drop the shards that it assigned to other members; those that stay go on."""
        if self._consumer is None:
            if self.backing_off():
                return
            self._consumer = ShardConsumer(self._store.settings, group_in_use(self._store.client, self._store.settings))
            self._seen_assignments = 0
        while self._seen_assignments != self._consumer.assignments:
            self._seen_assignments = self._consumer.assignments
            self._stuck_in = ""
            assigned = self._assigned(self._consumer)
            log.info("shards assigned", shards=sorted(assigned))
            self.shards = {number: shard for number, shard in self.shards.items() if number in assigned}
            self._remembered = {number: seen for number, seen in self._remembered.items() if number in assigned}
            for shard in self.shards.values():
                if shard.paused_until is None:
                    self._start(self._consumer, shard)
        if self._consumer.stuck():
            self._leave_stuck_group(self._consumer.group)

    def _leave_stuck_group(self, group: str) -> None:
        """Join again or, if that has been tried, have all workers move to a new group: the broker lost this one.

        The embedded broker (Tansu 0.6) waits for ever for a member that left at the wrong moment.
        """
        self._guard.ids()  # raises when the broker cannot be reached, which is another fault
        if self._stuck_in == group:
            next_group(self._store.client, self._store.settings, group)
        self._stuck_in = group
        raise OwnershipLost(f"the group {group} has been rebalancing without end")

    def check_group(self) -> None:
        """Raise `OwnershipLost` when the workers have moved to another group."""
        group = group_in_use(self._store.client, self._store.settings)
        if self._consumer is not None and self._consumer.group != group:
            raise OwnershipLost(f"the workers have moved to the group {group}")

    def acquire(self, generation: Generation | None) -> None:
        """Acquire the assigned shards that are not acquired yet, one after the other, unless backing off."""
        if self._consumer is None or self.backing_off():
            return
        waiting = sorted(self._assigned(self._consumer) - self.shards.keys())
        if not waiting:
            return
        settings = self._store.settings
        claim(self._store.client, settings, Rules.of(settings))
        at_end = ends(settings, event_topics(settings))
        topic_ids = self._guard.ids()
        if topic_ids != self._topic_ids:
            self._remembered.clear()
            self._topic_ids = topic_ids
        for number in waiting:
            begins = self._consumer.beginnings(number)
            seen = self._remembered.get(number)
            shard = acquire(self._store, number, topic_ids, begins, generation, self._key, seen, self._from_log_start)
            needed = {(settings.topic_prefix + topic, number): offset for topic, offset in shard.offsets.items()}
            check_ends(needed, at_end)
            self._start(self._consumer, shard)
            self._remembered.pop(number, None)
            self.shards[number] = shard
            log.info("shard acquired", shard=number, offsets=dict(shard.offsets))

    def _start(self, consumer: ShardConsumer, shard: OwnedShard) -> None:
        consumer.start(shard.number, shard.offsets, shard.seen.next)
        self._started.add(shard.number)

    def backing_off(self) -> bool:
        """Whether the wait after a failure is still going on; until then nothing is tried again."""
        return time.monotonic() < self._not_before

    def release_all(self, reason: SegmenterError) -> None:
        """Release the acquired shards, and wait before they are acquired again, longer after each failure in a row."""
        if self._consumer is not None:
            for number in self.shards:
                self._consumer.stop(number)
        self._release()
        self.failures += 1
        wait = backoff_seconds(self.failures)
        self._not_before = time.monotonic() + wait
        log.warning("shards released", reason=str(reason), retry_seconds=round(wait, 2))

    def rejoin(self, reason: SegmenterError) -> None:
        """Leave the group, to join it again: it has assigned the shards of this member to another."""
        log.warning("joining the group again", reason=str(reason))
        self._release()
        self.leave()

    def _release(self) -> None:
        """Have no acquired shards any more, but remember their event ids."""
        self._remembered |= {number: shard.seen for number, shard in self.shards.items()}
        self.shards.clear()

    def pause(self, shard: OwnedShard, seconds: float) -> None:
        """Poll no records of a shard for so many seconds from now; 0 or less ends a pause."""
        if self._consumer is not None and seconds > 0:
            self._consumer.stop(shard.number)
        if seconds > 0 or shard.paused_until is not None:
            shard.paused_until = time.monotonic() + seconds

    def resume_due(self) -> None:
        """Resume the shards whose pause is over."""
        for shard in self.shards.values():
            if shard.paused_until is not None and shard.paused_until <= time.monotonic():
                shard.paused_until = None
                if self._consumer is not None:
                    self._start(self._consumer, shard)

    def poll(self, timeout_ms: int, max_records: int) -> list[tuple[OwnedShard, list[Record]]]:
        """New records of the acquired shards, of the very topics that the offsets of the shards belong to.

        Without any it still waits: the member takes part in rebalances, and so keeps its place in the group.
        """
        if self._consumer is None:
            time.sleep(timeout_ms / 1000)
            return []
        interrupted = time.monotonic() > self._polled + INTERRUPTED_SECONDS
        with self._of_known_topics():
            polled = self._consumer.poll(timeout_ms, max_records)
        self._polled = time.monotonic()
        found = [(self.shards[number], records) for number, records in polled.items() if number in self.shards]
        started = self._started & polled.keys()
        if found and (interrupted or started or not self._consumer.knows_topics(self._topic_ids)):
            self._check_topics()
            self._started -= started
        return found

    @contextmanager
    def _of_known_topics(self) -> Iterator[None]:
        """A log that does not hold what it should may be that of a recreated topic: then raise `TopicRecreated`."""
        try:
            yield
        except LogTruncated:
            self._check_topics()
            raise

    def _check_topics(self) -> None:
        """Raise `TopicRecreated` unless the topics are still those on which this member has acquired shards.

        To be sure of records, it must be called after they were read.
        """
        self._guard.check(self._topic_ids)

    def _assigned(self, consumer: ShardConsumer) -> set[int]:
        """The shards that the group assigns to this member."""
        try:
            return consumer.shards()
        except PartitionsDiffer:
            self._check_topics()
            raise

    def _is_steady(self, consumer: ShardConsumer) -> bool:
        """Whether the group has assigned nothing that `follow` has not seen.

        While it does, the client may take positions from Kafka's own offsets, which prove nothing.
        """
        return not consumer.rebalancing and consumer.assignments == self._seen_assignments

    def holds_all_assigned(self) -> bool:
        """Whether this member has been assigned shards, and has acquired them all."""
        if self._consumer is None or not self._is_steady(self._consumer):
            return False
        return bool(self.shards) and self.shards.keys() == self._consumer.shards()

    def is_assigned_none(self) -> bool:
        """Whether the group has assigned its shards, and none to this member."""
        return self._consumer is not None and self._is_steady(self._consumer) and not self._consumer.shards()

    def positions(self) -> dict[int, dict[str, int]]:
        """The next offset to poll of each topic, by acquired shard; empty during a rebalance."""
        if self._consumer is None:
            return {}
        with self._of_known_topics():
            found = {number: self._consumer.positions(number) for number in self.shards}
        return found if self._is_steady(self._consumer) else {}

    def at_end(self) -> set[int]:
        """The acquired shards that have been polled as far as the log may be read now. Raises `TopicRecreated`."""
        with self._of_known_topics():
            found = self._consumer.at_end(self.shards) if self._consumer else set()
        self._check_topics()
        return found

    def commit_lag_offsets(self) -> None:
        """Commit offsets to Kafka, for tools that show lag; to be called just after Redis has answered."""
        if self._consumer is not None:
            offsets = {number: shard.offsets for number, shard in self.shards.items()}
            self._consumer.commit_lag_offsets(offsets, time.time_ns() // 1_000_000)

    def leave(self) -> None:
        """Leave the group."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None
