"""Reading the log from given offsets, without a group."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import LogTruncationError, OffsetOutOfRangeError

from segmenter.errors import LogTruncated
from segmenter.events import Record
from segmenter.settings import Settings
from segmenter.topics.caught_up import CaughtUp
from segmenter.topics.client import Position, client_options, position_of, reaching
from segmenter.topics.lag_offsets import noted
from segmenter.topics.waits import LimitedConsumer

RESTORE = (
    "Stop the workers and run `segmenter restore` or, where no snapshot fits, `segmenter restore --from-raw`; or leave "
    "the missing events out with `segmenter worker --from-log-start` (docs/outages.md)."
)
"""What to do when the log begins after what the store needs; a caller that keeps offsets elsewhere says so."""

LOST_END = (
    "Put the missing part of the log back, restore an earlier snapshot by `segmenter restore --replace --snapshot N`, "
    "or start afresh with an unused SEGMENTER_KEY_PREFIX."
)
"""What to do when the log ends before that."""

_WHOLE_BATCH = 1_000_000
PATIENCE_SECONDS = 30.0
_LAST_RECORD_SECONDS = 10.0


def open_consumer(settings: Settings, **options: object) -> KafkaConsumer:
    """A consumer that reads committed records only and never chooses a starting offset by itself."""
    with reaching(settings):
        return LimitedConsumer(
            **client_options(settings),
            auto_offset_reset="none",
            enable_auto_commit=False,
            isolation_level="read_committed",
            fetch_max_wait_ms=100,
            allow_auto_create_topics=False,
            metrics_enabled=False,
            **{"max_partition_fetch_bytes": 2 * 1024 * 1024} | options,
        )


class Reader:
    """Records of some partitions from given offsets on, in the order of each partition.

    ``group`` is a name to commit offsets under; the reader is not a member of it. ``restore`` is what to do when the
    log does not hold them.
    """

    def __init__(
        self, settings: Settings, start: Mapping[Position, int], group: str | None = None, restore: str = RESTORE
    ) -> None:
        self._settings = settings
        self._restore = restore
        self._consumer = open_consumer(settings, group_id=group)
        self._caught_up = CaughtUp[str](self._consumer)
        self._consumer.assign([TopicPartition(*position) for position in start])
        with reaching(settings):
            check_held(self._consumer, start, restore)
        for position, offset in start.items():
            self._consumer.seek(TopicPartition(*position), offset)

    def poll(self, timeout_ms: int, max_records: int = 5_000) -> list[Record]:
        """The next records, none if there are none within ``timeout_ms``."""
        with reaching(self._settings):
            polled = poll_held(self._consumer, timeout_ms, max_records, self._restore)
        return [record for records in polled.values() for record in records]

    def positions(self) -> dict[Position, int]:
        """The next offset to be read of each partition; beyond the last record if a transaction's marker follows it."""
        with reaching(self._settings), held(self._consumer, self._restore):
            return {(tp.topic, tp.partition): position_of(self._consumer, tp) for tp in self._consumer.assignment()}

    def caught_up_ms(self, asked_ms: int) -> int | None:
        """The latest moment of which all has been read that the log held then; None if there is no news of that.

        It is now, ``asked_ms``, or when this was asked before.
        """
        with reaching(self._settings), held(self._consumer, self._restore):
            return self._caught_up.moments_ms({"log": list(self._consumer.assignment())}, asked_ms).get("log")

    def commit_lag_offsets(self, offsets: Mapping[Position, int], now_ms: int) -> None:
        """Commit offsets to Kafka under the group's name, with a note that all was well just now, ``now_ms``."""
        with reaching(self._settings):
            self._consumer.commit(noted(offsets, now_ms), timeout_ms=10_000)

    def close(self) -> None:
        """Release the connection."""
        self._consumer.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def beginnings(settings: Settings, topics: Iterable[str]) -> dict[Position, int]:
    """The first offset that the log still holds of each partition of ``topics``."""
    consumer = open_consumer(settings)
    try:
        with reaching(settings):
            return _positions(consumer.beginning_offsets(_partitions(settings, topics)))
    finally:
        consumer.close()


def ends(settings: Settings, topics: Iterable[str]) -> dict[Position, int]:
    """The offset after the last record of each partition of ``topics`` that may be read now.

    That is where the first open transaction begins; Kafka's control records, which end transactions, count as records.
    The last record is read to be sure: some brokers (Tansu 0.6) return where the last batch begins, not where it ends.
    """
    consumer = open_consumer(settings)
    try:
        with reaching(settings):
            partitions = _partitions(settings, topics)
            first, reported = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
            unread = {tp for tp in partitions if reported[tp] > first[tp]}
            consumer.assign(unread)
            for tp in unread:
                consumer.seek(tp, reported[tp] - 1)
            deadline = time.monotonic() + _LAST_RECORD_SECONDS
            while unread and time.monotonic() < deadline:
                polled = consumer.poll(500, _WHOLE_BATCH)
                unread = {tp for tp in unread - polled.keys() if position_of(consumer, tp) < reported[tp]}
            read = {tp: position_of(consumer, tp) for tp in consumer.assignment()}
            return _positions({tp: max(end, read.get(tp, 0)) for tp, end in reported.items()})
    finally:
        consumer.close()


def read_to(settings: Settings, start: Mapping[Position, int], end: Mapping[Position, int]) -> Iterator[list[Record]]:
    """Batches of records from ``start`` until every partition has been read up to ``end``.

    After half a minute without a record it checks that the brokers still answer: `Unreachable` if not.
    """
    with Reader(settings, start) as reader:
        moved = time.monotonic()
        while any(position < end[at] for at, position in reader.positions().items()):
            records = reader.poll(500)
            if records:
                moved = time.monotonic()
            elif time.monotonic() - moved > PATIENCE_SECONDS:
                ends(settings, {topic for topic, _ in start})
                moved = time.monotonic()
            yield records


def check_held(consumer: KafkaConsumer, start: Mapping[Position, int], restore: str = RESTORE) -> dict[Position, int]:
    """The first offset held of each partition. Raises `LogTruncated` if one of ``start`` is before it."""
    first = _positions(consumer.beginning_offsets([TopicPartition(*position) for position in start]))
    check_beginnings(start, first, restore)
    return first


def check_beginnings(needed: Mapping[Position, int], first: Mapping[Position, int], restore: str = RESTORE) -> None:
    """Raise `LogTruncated` if the log begins after one of the offsets that must be read next."""
    for (topic, part), offset in needed.items():
        if offset < first[topic, part]:
            raise LogTruncated(topic, part, offset, f"begins at {first[topic, part]}", restore)


def check_ends(needed: Mapping[Position, int], at_end: Mapping[Position, int], restore: str = LOST_END) -> None:
    """Raise `LogTruncated` if the log ends before one of the offsets that must be read next."""
    for (topic, part), offset in needed.items():
        if offset > at_end[topic, part]:
            raise LogTruncated(topic, part, offset, f"ends at {at_end[topic, part]}", restore)


def poll_held(
    consumer: KafkaConsumer, timeout_ms: int, max_records: int, restore: str = RESTORE
) -> Mapping[TopicPartition, list[Record]]:
    """Poll; raises `LogTruncated` for an offset that the log does not hold, or no longer holds."""
    with held(consumer, restore):
        polled: Mapping[TopicPartition, list[Record]] = consumer.poll(timeout_ms, max_records)
    return polled


@contextmanager
def held(consumer: KafkaConsumer, restore: str = RESTORE) -> Iterator[None]:
    """Raise `LogTruncated` if the client finds that the log does not hold its position, or has lost what is before."""
    try:
        yield
    except OffsetOutOfRangeError as error:
        ((tp, needed),) = error.args[0].items()
        raise LogTruncated(tp.topic, tp.partition, needed, "does not hold it", restore) from error
    except LogTruncationError as error:
        tp, held_to = next(iter(error.divergent_offsets.items()))
        but = f"was cut back to {held_to.offset}" if held_to else "has lost what was read before it"
        raise LogTruncated(tp.topic, tp.partition, consumer.position(tp, timeout_ms=0), but, restore) from error


def _partitions(settings: Settings, topics: Iterable[str]) -> list[TopicPartition]:
    return [TopicPartition(topic, part) for topic in topics for part in range(settings.partitions)]


def _positions(offsets: Mapping[TopicPartition, int]) -> dict[Position, int]:
    return {(tp.topic, tp.partition): offset for tp, offset in offsets.items()}
