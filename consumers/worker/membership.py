"""Membership in the consumer group: the shards that it assigns to this worker, and which of them are acquired."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import structlog

from consumers.backoff import backoff_seconds
from consumers.worker.acquire import Owner, ShardLog, acquire
from consumers.worker.groups import Groups
from consumers.worker.owned_shard import OwnedShard
from consumers.worker.parking import Parked, park, still_parked
from consumers.worker.topic_check import TopicCheck
from segmenter.errors import Corrupt, SegmenterError
from segmenter.model.generation import Generation
from segmenter.settings import Settings
from segmenter.shards.duplicates import DuplicateWindow
from segmenter.store.connection import Store
from segmenter.store.shards import new_token
from segmenter.topics import Position, Record, ShardConsumer, TopicGuard, check_ends, ends, event_topics

log = structlog.get_logger()


class Membership:
    """An assigned shard is acquired, and its records are polled, or it waits to be acquired (again)."""

    def __init__(self, store: Store, guard: TopicGuard, wanted: Settings, from_log_start: bool = False) -> None:
        self._store = store
        self._groups = Groups(store, guard, wanted)
        self._topics = TopicCheck(guard)
        self._from_log_start = from_log_start
        self._key = secrets.token_bytes(16)
        self._remembered: dict[int, DuplicateWindow] = {}
        """The duplicate windows of assigned shards that were released."""
        self._consumer: ShardConsumer | None = None
        self._seen_assignments = 0
        self._not_before = 0.0
        self.shards: dict[int, OwnedShard] = {}
        self.parked: dict[int, Parked] = {}
        """Assigned shards that are not acquired, since what Redis holds of them is corrupt, until that is repaired."""
        self.failures = 0
        """How often in a row shards had to be released before they could work."""

    def follow(self) -> None:
        """Join the group, or raise `KindsAdded`, and drop the shards that it assigned to others; the rest goes on."""
        if self._consumer is None:
            if self.backing_off():
                return
            self._consumer = self._groups.join()
            self._seen_assignments = 0
        while self._seen_assignments != self._consumer.assignments:
            self._seen_assignments = self._consumer.assignments
            self._groups.has_assigned()
            assigned = self._assigned(self._consumer)
            log.info("shards assigned", shards=sorted(assigned))
            self.shards = {number: shard for number, shard in self.shards.items() if number in assigned}
            self.parked = {number: parked for number, parked in self.parked.items() if number in assigned}
            self._remembered = {number: seen for number, seen in self._remembered.items() if number in assigned}
            for shard in self.shards.values():
                if shard.paused_until is None:
                    self._start(self._consumer, shard)
        self._groups.check_stuck(self._consumer)

    def check_group(self) -> None:
        """Raise `OwnershipLost` when the workers have moved to another group."""
        if self._consumer is not None:
            self._groups.check(self._consumer)

    def acquire(self, generation: Generation | None) -> None:
        """Acquire the assigned shards that are not acquired yet, one after the other, unless backing off."""
        if self._consumer is None or self.backing_off():
            return
        waiting = sorted(self._assigned(self._consumer) - self.shards.keys() - self.parked.keys())
        if not waiting:
            return
        settings = self._store.settings
        self._groups.check_kinds()
        if not self._topics.learn():
            self._remembered.clear()
        acquired = [shard for number in waiting if (shard := self._acquire(self._consumer, number, generation))]
        # Asked last: until a shard was acquired, its offsets may have moved.
        at_end = ends(settings, event_topics(settings))
        for shard in acquired:
            needed = {(settings.topic_prefix + topic, shard.number): at for topic, at in shard.offsets.items()}
            check_ends(needed, at_end)
            self._start(self._consumer, shard)
            self._remembered.pop(shard.number, None)
            self.shards[shard.number] = shard
            log.info("shard acquired", shard=shard.number, offsets=dict(shard.offsets))

    def _acquire(self, consumer: ShardConsumer, number: int, generation: Generation | None) -> OwnedShard | None:
        """Acquire a shard; None if it had to be parked."""
        shard_log = ShardLog(self._topics.ids, consumer.beginnings(number), self._from_log_start)
        seen, owner = self._remembered.get(number), Owner(new_token(), self._groups.number_of(consumer))
        try:
            return acquire(self._store, number, owner, shard_log, generation, self._key, seen)
        except Corrupt as reason:
            self.park(number, owner.token, reason)
            return None

    def _start(self, consumer: ShardConsumer, shard: OwnedShard) -> None:
        consumer.start(shard.number, shard.offsets, shard.seen.next)
        self._topics.start(shard.number)

    @contextmanager
    def parking(self, number: int) -> Iterator[None]:
        """Park an acquired shard when what Redis holds of it turns out to be corrupt."""
        try:
            yield
        except Corrupt as reason:
            self.park(number, self.shards[number].state.token, reason)

    def park(self, number: int, token: str, reason: Corrupt) -> None:
        """Work on a shard no more, as its owner ``token``; the others go on. Raises `OwnershipLost`."""
        self.parked[number] = park(self._store, number, token, reason)
        if self._consumer is not None:
            self._consumer.stop(number)
        if shard := self.shards.pop(number, None):
            self._remembered[number] = shard.seen

    def unpark(self) -> None:
        """Have the parked shards acquired again that have been repaired, and now and then the others."""
        self.parked = still_parked(self._store, self.parked)

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
        """Leave the group, to join it again: it has given its shards to another member, or the client is lost."""
        log.warning("joining the group again", reason=str(reason))
        self.parked.clear()
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
        began = time.monotonic()
        with self._topics.suspected():
            polled = self._consumer.poll(timeout_ms, max_records)
        found = [(self.shards[number], records) for number, records in polled.items() if number in self.shards]
        self._topics.check_read(self._consumer, {shard.number for shard, _ in found}, began)
        return found

    def _assigned(self, consumer: ShardConsumer) -> set[int]:
        """The shards that the group assigns to this member."""
        with self._topics.suspected():
            return consumer.shards()

    def _is_steady(self, consumer: ShardConsumer) -> bool:
        """Whether the group has assigned nothing that `follow` has not seen.

        While it does, the client may take positions from Kafka's own offsets, which prove nothing.
        """
        return not consumer.rebalancing and consumer.assignments == self._seen_assignments

    def holds_all_assigned(self) -> bool:
        """Whether this member has been assigned shards, and has acquired them all but the parked ones."""
        if self._consumer is None or not self._is_steady(self._consumer):
            return False
        held = self.shards.keys() | self.parked.keys()
        return bool(held) and held == self._consumer.shards()

    def is_assigned_none(self) -> bool:
        """Whether the group has assigned its shards, and none to this member."""
        return self._consumer is not None and self._is_steady(self._consumer) and not self._consumer.shards()

    def positions(self) -> dict[int, dict[str, int]]:
        """The next offset to poll of each topic, by acquired shard; empty during a rebalance."""
        if self._consumer is None:
            return {}
        with self._topics.suspected():
            found = {number: self._consumer.positions(number) for number in self.shards}
        return found if self._is_steady(self._consumer) else {}

    def has_reached(self, goal: Mapping[Position, int]) -> bool:
        """Whether this member holds all shards assigned to it, none paused, and has polled those up to ``goal``."""
        if self.is_assigned_none():
            log.info("nothing to do: other workers own all shards")
            return True
        polled = self.positions()
        prefix = self._store.settings.topic_prefix
        needed = {position: end for position, end in goal.items() if position[1] in polled}
        may_end = self.holds_all_assigned() and all(shard.paused_until is None for shard in self.shards.values())
        return may_end and all(
            polled[number][topic.removeprefix(prefix)] >= end for (topic, number), end in needed.items()
        )

    def caught_up_ms(self, asked_ms: int) -> dict[int, int] | None:
        """Up to when acquired shards hold all that the log did, as news now; None in a rebalance. `TopicRecreated`."""
        consumer = self._consumer
        with self._topics.suspected():
            found = consumer.caught_up_ms(self.shards, asked_ms) if consumer and self._is_steady(consumer) else None
        self._topics.check()
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
