"""Reading single records by where they are."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from kafka import KafkaConsumer, TopicPartition

from segmenter.errors import LogTruncated, Unreachable
from segmenter.settings import Settings
from segmenter.topics.reader import ends, open_consumer, poll_held
from segmenter.topics.records import Record, reaching

PATIENCE_SECONDS = 30.0


def records_at(settings: Settings, places: Sequence[tuple[str, int, int]]) -> Iterator[Record | None]:
    """The record at each topic, partition and offset, in their order; None where the log does not hold it.

    The topics must be there. Raises `Unreachable` when a record that should be there does not come in 30 s.
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
        while consumer.position(tp) <= offset:
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
