"""Reading the log from given offsets, without a group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import OffsetOutOfRangeError

from segmenter.errors import LogTruncated
from segmenter.settings import Settings
from segmenter.topics.records import Position, Record, client_options, reaching

RESTORE = "Restore from a snapshot, or start with an empty store."


def open_consumer(settings: Settings, **options: object) -> KafkaConsumer:
    """A consumer that reads committed records only and never chooses a starting offset by itself."""
    with reaching(settings):
        return KafkaConsumer(
            **client_options(settings),
            **options,
            auto_offset_reset="none",
            enable_auto_commit=False,
            isolation_level="read_committed",
            fetch_max_wait_ms=100,
            max_partition_fetch_bytes=2 * 1024 * 1024,
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )


class Reader:
    """Records of some partitions from given offsets on, in the order of each partition."""

    def __init__(self, settings: Settings, start: Mapping[Position, int]) -> None:
        self._settings = settings
        self._consumer = open_consumer(settings)
        self._consumer.assign([TopicPartition(*position) for position in start])
        with reaching(settings):
            check_held(self._consumer, start)
        for position, offset in start.items():
            self._consumer.seek(TopicPartition(*position), offset)

    def poll(self, timeout_ms: int, max_records: int = 5_000) -> list[Record]:
        """The next records, none if there are none within ``timeout_ms``."""
        with reaching(self._settings):
            polled = poll_held(self._consumer, timeout_ms, max_records)
        return [record for records in polled.values() for record in records]

    def positions(self) -> dict[Position, int]:
        """The next offset to be read of each partition; beyond the last record where a transaction's marker was."""
        with reaching(self._settings):
            return {(tp.topic, tp.partition): self._consumer.position(tp) for tp in self._consumer.assignment()}

    def close(self) -> None:
        """Release the connection."""
        self._consumer.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def beginnings(settings: Settings, topics: Iterable[str]) -> dict[Position, int]:
    """The first offset that the log still holds of each partition of ``topics``."""
    return _edges(settings, topics, "beginning_offsets")


def ends(settings: Settings, topics: Iterable[str]) -> dict[Position, int]:
    """The offset after the last record of each partition of ``topics``."""
    return _edges(settings, topics, "end_offsets")


def read_to(settings: Settings, start: Mapping[Position, int], end: Mapping[Position, int]) -> Iterator[list[Record]]:
    """Batches of records from ``start`` until every partition has been read up to ``end``."""
    with Reader(settings, start) as reader:
        while any(position < end[at] for at, position in reader.positions().items()):
            yield reader.poll(500)


def check_held(consumer: KafkaConsumer, start: Mapping[Position, int]) -> dict[Position, int]:
    """The first offset held of each partition. Raises `LogTruncated` if the log does not hold one of ``start``."""
    partitions = [TopicPartition(*position) for position in start]
    first, last = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
    for (topic, part), needed in start.items():
        at = TopicPartition(topic, part)
        if not first[at] <= needed <= last[at]:
            raise LogTruncated(topic, part, needed, first[at], last[at], RESTORE)
    return {(tp.topic, tp.partition): offset for tp, offset in first.items()}


def poll_held(
    consumer: KafkaConsumer, timeout_ms: int, max_records: int
) -> Mapping[TopicPartition, list[Record]]:
    """Poll; an offset that the log has lost meanwhile is `LogTruncated`."""
    try:
        polled: Mapping[TopicPartition, list[Record]] = consumer.poll(timeout_ms, max_records)
    except OffsetOutOfRangeError:
        flowing = consumer.assignment() - consumer.paused()
        check_held(consumer, {(tp.topic, tp.partition): consumer.position(tp) for tp in flowing})
        raise
    return polled


def _edges(settings: Settings, topics: Iterable[str], which: str) -> dict[Position, int]:
    partitions = [TopicPartition(topic, part) for topic in topics for part in range(settings.partitions)]
    consumer = open_consumer(settings)
    try:
        with reaching(settings):
            return {(tp.topic, tp.partition): offset for tp, offset in getattr(consumer, which)(partitions).items()}
    finally:
        consumer.close()
