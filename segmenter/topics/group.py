"""Reading the log as a member of the consumer group, whole shards at a time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import structlog
from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.errors import IllegalStateError, KafkaError

from segmenter.errors import OwnershipLost, PartitionsDiffer, Unreachable
from segmenter.events import Record
from segmenter.settings import Settings
from segmenter.topics.admin import check_partitions, event_topics
from segmenter.topics.caught_up import CaughtUp
from segmenter.topics.client import position_of, reaching, refresh_metadata
from segmenter.topics.lag_offsets import noted, store_name
from segmenter.topics.reader import check_held, held, open_consumer, poll_held

log = structlog.get_logger()

JOIN_POLL_MS = 100
"""A join makes no progress in polls of a few ms."""

LEAVING_SECONDS = 3.6
"""How long leaving may wait: longer than a join takes, shorter than a worker may take to end."""

FAREWELL_MS = 500
"""How long to wait for the broker to confirm; it removes a silent member anyway."""


TANSU = "tansu_cluster"
"""The id that the embedded broker gives to its cluster."""

REBALANCE_SECONDS = 15.0
"""Longer than any rebalance takes: a member that died is removed after 6 s."""


class ShardConsumer:
    """A group member that is assigned shards: one partition number across all event topics.

    Topics go by their names without prefix. Newly assigned shards are paused; the owner opens each by `start`.
    ``assignments`` counts the assignments so far, so that the owner sees when to look at `shards` again.
    """

    def __init__(self, settings: Settings, group: str) -> None:
        self._settings = settings
        self.group = group
        self._prefix = settings.topic_prefix
        self._topics = list(event_topics(settings))
        self._listener = _Pausing()
        self._consumer = open_consumer(
            settings,
            group_id=group,
            partition_assignment_strategy=[RangePartitionAssignor],
            heartbeat_interval_ms=500,
            session_timeout_ms=6_000,
            metadata_max_age_ms=10_000,
        )
        self._caught_up = CaughtUp[int](self._consumer)
        self._listener.consumer = self._consumer
        self._consumer.subscribe(self._topics, listener=self._listener)
        try:
            with reaching(settings):
                refresh_metadata(self._consumer)  # a leader that does not know a topic yet would assign nothing of it
        except Unreachable:
            self.close()
            raise

    @property
    def assignments(self) -> int:
        """How often shards have been assigned to this member."""
        return self._listener.assignments

    @property
    def rebalancing(self) -> bool:
        """Whether the group is assigning shards again."""
        return self._listener.rebalancing_since is not None

    def stuck(self) -> bool:
        """Whether a rebalance has been going on for so long that it will not end.

        kafka-python 3.0 loses track of one that new metadata starts while a poll runs out of time.
        """
        since = self._listener.rebalancing_since
        return since is not None and time.monotonic() - since > REBALANCE_SECONDS

    def shards(self) -> set[int]:
        """The shards this member holds now. Raises `PartitionsDiffer` if it was assigned parts of shards."""
        assigned = {(tp.topic, tp.partition) for tp in self._listener.assigned}
        shards = {part for _, part in assigned}
        if assigned != {(topic, part) for topic in self._topics for part in shards}:
            with reaching(self._settings):
                counts = {topic: len(self._consumer.partitions_for_topic(topic) or ()) for topic in self._topics}
            check_partitions(counts, self._settings)
            raise PartitionsDiffer(
                f"the group {self.group!r} gave this member parts of shards: {sorted(assigned)}. "
                "Every member must be a worker of this version that reads the same topics."
            )
        return shards

    def start(self, shard: int, offsets: Mapping[str, int], since: Mapping[str, int]) -> None:
        """Deliver a shard's records from ``since`` on, by topic, or from where the log begins if that is later.

        Raises `LogTruncated` when the log no longer holds one of the ``offsets`` at which the shard goes on.
        """
        needed = {(self._prefix + topic, shard): offset for topic, offset in offsets.items()}
        with self._held():
            begins = check_held(self._consumer, needed)
            for position in needed:
                wanted = max(0, since[position[0].removeprefix(self._prefix)])
                if wanted < begins[position]:
                    log.warning("the log is shorter than the duplicate window", shard=shard, topic=position[0])
                self._consumer.seek(TopicPartition(*position), max(begins[position], wanted))
            self._consumer.resume(*self._of(shard))

    def stop(self, shard: int) -> None:
        """Deliver no more records of a shard until it is started again."""
        with suppress(KeyError, ValueError):  # it was given to another member meanwhile
            self._consumer.pause(*self._of(shard))

    def poll(self, timeout_ms: int, max_records: int) -> dict[int, list[Record]]:
        """New records by shard, in the order of each partition. In a rebalance it waits long enough to take part."""
        if self._listener.rebalancing_since is not None:
            timeout_ms = max(timeout_ms, JOIN_POLL_MS)
        with reaching(self._settings):
            polled = poll_held(self._consumer, timeout_ms, max_records)
        shards: dict[int, list[Record]] = {}
        for tp, records in sorted(polled.items()):
            shards.setdefault(tp.partition, []).extend(records)
        return shards

    def positions(self, shard: int) -> dict[str, int]:
        """The next offset to be delivered of each topic of a started shard."""
        with self._held():
            return {self._plain(tp): position_of(self._consumer, tp) for tp in self._of(shard)}

    def knows_topics(self, ids: Mapping[str, str]) -> bool:
        """Whether the client knows the topics by these ids, and would know by now if they had changed.

        A fetch from a topic that is gone fails, and the client asks again. Tansu 0.6 lets such a fetch wait instead.
        """
        cluster = self._consumer._cluster
        if cluster.need_update or cluster.cluster_id == TANSU:
            return False
        return all(str(cluster.topic_id(self._prefix + topic)) == topic_id for topic, topic_id in ids.items())

    def beginnings(self, shard: int) -> dict[str, int]:
        """The first offset that the log holds of each topic of a shard."""
        with reaching(self._settings):
            first = self._consumer.beginning_offsets(self._of(shard), timeout_ms=5_000)
        return {self._plain(tp): offset for tp, offset in first.items()}

    def caught_up_ms(self, shards: Iterable[int], asked_ms: int) -> dict[int, int]:
        """The latest moment of which each of these started shards has been delivered all that the log held then.

        It is now, ``asked_ms``, or when this was asked before; absent if there is no news. Records of an open
        transaction, and those after them, may not be read yet.
        """
        with self._held():
            return self._caught_up.moments_ms({shard: self._of(shard) for shard in shards}, asked_ms)

    def commit_lag_offsets(self, offsets: Mapping[int, Mapping[str, int]], now_ms: int) -> None:
        """Commit offsets to Kafka, with the note that the store was reached at ``now_ms``."""
        by_position = {
            (self._prefix + topic, shard): offset
            for shard, by_topic in offsets.items()
            for topic, offset in by_topic.items()
        }
        self._consumer.commit_async(noted(by_position, now_ms, store_name(self._settings)))

    def close(self) -> None:
        """Leave the group, once it has finished the rebalance that is going on.

        If it leaves in the middle of one, the embedded broker (Tansu 0.6) waits for it for ever.
        """
        deadline = time.monotonic() + LEAVING_SECONDS
        with suppress(KafkaError):
            while self._listener.rebalancing_since is not None and time.monotonic() < deadline:
                self._consumer.poll(JOIN_POLL_MS)
        self._consumer.close(autocommit=False, timeout_ms=FAREWELL_MS)

    @contextmanager
    def _held(self) -> Iterator[None]:
        """`reaching`, but raises `OwnershipLost` for a partition that was assigned to another member meanwhile."""
        try:
            with reaching(self._settings), held(self._consumer):
                try:
                    yield
                except IllegalStateError as error:
                    raise ValueError(error) from error
        except ValueError as error:
            raise OwnershipLost(f"the group has given the shard to another member meanwhile ({error})") from error

    def _plain(self, tp: TopicPartition) -> str:
        return str(tp.topic.removeprefix(self._prefix))

    def _of(self, shard: int) -> list[TopicPartition]:
        return [TopicPartition(topic, shard) for topic in self._topics]


class _Pausing(ConsumerRebalanceListener):  # type: ignore[misc]
    """Runs on the client's IO thread: it may not block, so it only keeps records from flowing."""

    consumer: KafkaConsumer
    assigned: frozenset[TopicPartition] = frozenset()
    assignments = 0

    def __init__(self) -> None:
        self.rebalancing_since: float | None = time.monotonic()

    def on_partitions_revoked(self, revoked: Any) -> None:
        self.rebalancing_since = time.monotonic()

    def on_partitions_lost(self, lost: Any) -> None:
        self.rebalancing_since = time.monotonic()
        self.assigned = frozenset()
        self.assignments += 1

    def on_partitions_assigned(self, assigned: Any) -> None:
        self.consumer.pause(*assigned)
        for tp in assigned:
            self.consumer.seek(tp, 0)
        self.assigned = frozenset(assigned)
        self.assignments += 1
        self.rebalancing_since = None
