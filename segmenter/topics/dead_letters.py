"""The dead-letter topic: publishing dead letters, and reading them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
import structlog
from kafka import KafkaConsumer, TopicPartition

from segmenter.errors import LogTruncated, Unreachable
from segmenter.events import InvalidRecord, Record
from segmenter.events.dead_letters import DeadLetter, decode, describe, encode, letter_key
from segmenter.settings import Settings
from segmenter.topics.admin import dead_letter_topic, has_topic, topic_ids
from segmenter.topics.client import position_of, reaching
from segmenter.topics.producer import produce_all
from segmenter.topics.reader import beginnings, ends, open_consumer, poll_held, read_to

log = structlog.get_logger()

ACKNOWLEDGE_SECONDS = 2.5
"""How long the brokers may take to acknowledge; the worker waits meanwhile, and must be able to end within 5 s."""

PATIENCE_SECONDS = 30.0


def publish_dead_letters(producer: Any, settings: Settings, invalid: Iterable[tuple[Record, InvalidRecord]]) -> None:
    """Publish a dead letter for each invalid record, and return when all are acknowledged."""
    letters = [
        describe(record.topic, record.partition, record.offset, record.timestamp, record.key, record.value, reason)
        for record, reason in invalid
    ]
    records = [(letter_key(letter), encode(letter)) for letter in letters]
    produce_all(producer, settings, dead_letter_topic(settings), records, ACKNOWLEDGE_SECONDS)


def read_dead_letters(settings: Settings) -> list[DeadLetter]:
    """Every dead letter that the log holds, once, the oldest first. Raises Unreachable when nothing was ever published.

    A worker that crashed may have published one twice, under the same key. Other records in the topic are skipped, with
    a warning.
    """
    topic_ids(settings)
    topic = dead_letter_topic(settings)
    there = [topic] if has_topic(settings, topic) else []
    letters: dict[bytes | None, DeadLetter] = {}
    for records in read_to(settings, beginnings(settings, there), ends(settings, there)):
        for record in records:
            try:
                letters[record.key] = decode(record.value or b"")
            except msgspec.DecodeError as error:
                log.warning(
                    "a record of the topic is not a dead letter",
                    partition=record.partition,
                    offset=record.offset,
                    reason=str(error),
                )
    return sorted(
        letters.values(), key=lambda letter: (letter.timestamp_ms, letter.topic, letter.partition, letter.offset)
    )


def records_at(settings: Settings, places: Sequence[tuple[str, int, int]]) -> Iterator[Record | None]:
    """The record at each topic, partition and offset, in their order; None where the log does not hold it.

    The topics must exist. Raises `Unreachable` when a record that should be there does not come in 30 s.
    """
    end = ends(settings, {topic for topic, _, _ in places})
    consumer = open_consumer(settings)
    try:
        for topic, part, offset in places:
            held = offset < end.get((topic, part), 0)
            yield _record_at(settings, consumer, TopicPartition(topic, part), offset) if held else None
    finally:
        consumer.close()


def _record_at(settings: Settings, consumer: KafkaConsumer, tp: TopicPartition, offset: int) -> Record | None:
    consumer.assign([tp])
    consumer.seek(tp, offset)
    deadline = time.monotonic() + PATIENCE_SECONDS
    with reaching(settings, "Read"):
        while position_of(consumer, tp) <= offset:
            try:
                polled = poll_held(consumer, 500, 1)
            except LogTruncated:
                return None
            for record in polled.get(tp, ()):
                return record if record.offset == offset else None
            if time.monotonic() > deadline:
                raise Unreachable(
                    f"Kafka at {settings.kafka} did not give offset {offset} of topic {tp.topic!r} partition "
                    f"{tp.partition} within {PATIENCE_SECONDS:.0f} s. Is it overloaded? Try again."
                )
    return None
