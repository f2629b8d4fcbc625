"""How much time the duplicate window spans now."""

from __future__ import annotations

import time
from collections.abc import Mapping

from kafka import TopicPartition

from segmenter.errors import Unreachable
from segmenter.settings import Settings
from segmenter.topics.client import Position, position_of, reaching
from segmenter.topics.reader import beginnings, open_consumer, poll_held

PATIENCE_SECONDS = 10.0
ENOUGH_BYTES = 16 * 1024
"""One record of each partition is needed; a broker sends at least one."""


def window_starts_ms(settings: Settings, ends: Mapping[Position, int]) -> dict[Position, int]:
    """The timestamp of the oldest record in the duplicate window of each partition whose log reaches further back.

    ``ends`` holds the offset after the last record of each partition. Raises `Unreachable` after 10 s without answer.
    """
    starts = {position: end - settings.duplicate_window for position, end in ends.items()}
    first = beginnings(settings, {topic for topic, _ in ends})
    within = {position: start for position, start in starts.items() if first[position] < start < ends[position]}
    return _timestamps(settings, within, ends) if within else {}


def _timestamps(settings: Settings, at: Mapping[Position, int], ends: Mapping[Position, int]) -> dict[Position, int]:
    """The timestamp of the first record at each offset or after it; a partition without such a record is left out."""
    consumer = open_consumer(settings, max_partition_fetch_bytes=ENOUGH_BYTES)
    found: dict[Position, int] = {}
    try:
        with reaching(settings):
            unread = {TopicPartition(*position) for position in at}
            consumer.assign(unread)
            for tp in unread:
                consumer.seek(tp, at[tp.topic, tp.partition])
            deadline = time.monotonic() + PATIENCE_SECONDS
            while unread:
                for tp, records in poll_held(consumer, 500, 1_000).items():
                    found.setdefault((tp.topic, tp.partition), records[0].timestamp)
                unread = {tp for tp in unread if (tp.topic, tp.partition) not in found}
                unread = {tp for tp in unread if position_of(consumer, tp) < ends[tp.topic, tp.partition]}
                consumer.pause(*consumer.assignment() - unread)
                if time.monotonic() > deadline:
                    raise Unreachable(
                        f"Kafka at {settings.kafka} did not give records of {len(unread)} partitions within "
                        f"{PATIENCE_SECONDS:.0f} s. Is it overloaded? Try again."
                    )
        return found
    finally:
        consumer.close()
