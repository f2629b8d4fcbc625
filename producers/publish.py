"""Publishing: every record keyed by its user, acknowledged by all replicas, never repeated or reordered."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from producers.messages import Message, Refused, RefusedRows, count_refused
from segmenter.events.sharding import shard_of
from segmenter.settings import Settings
from segmenter.topics import drop_producer, ensure_topics, open_producer
from segmenter.topics.client import reaching

IN_FLIGHT = 10_000
"""The most records that wait for their acknowledgement at the same time."""

ACK_S = 120
"""How long to wait for the next acknowledgement."""


class Published(NamedTuple):
    """What became of the items that were read: ``read`` is ``published`` and all refused rows together.

    A record counts as published when the brokers have acknowledged it.
    """

    read: int
    published: int
    refused: dict[str, RefusedRows]
    seconds: float


def publish(
    settings: Settings, items: Iterable[Message | Refused], acknowledged: Callable[[int], object] = lambda records: None
) -> Published:
    """Publish the messages, and count the refused rows. Missing topics are created.

    ``acknowledged`` is called with the number of records each time that some have been acknowledged. The records of a
    user keep their order. Raises `segmenter.errors.Unreachable` when a record is not acknowledged.
    """
    began = time.monotonic()
    refused: dict[str, RefusedRows] = {}
    ensure_topics(settings)
    published = _publish(settings, _messages(items, refused), acknowledged)
    read = published + sum(each.rows for each in refused.values())
    return Published(read, published, refused, time.monotonic() - began)


def _publish(settings: Settings, messages: Iterable[Message], acknowledged: Callable[[int], object]) -> int:
    published = 0
    waiting: deque[Any] = deque()
    producer = open_producer(settings)
    try:
        with reaching(settings, "Write"):
            for topic, key, value, headers in messages:
                part = shard_of(key, settings.partitions)
                name = settings.topic_prefix + topic
                waiting.append(producer.send(name, value, key, list(headers), part))
                while waiting and (waiting[0].is_done or len(waiting) > IN_FLIGHT):
                    waiting.popleft().get(timeout=ACK_S)
                    acknowledged(1)
                    published += 1
            producer.flush(ACK_S)
            for sent in waiting:
                sent.get(timeout=ACK_S)
            acknowledged(len(waiting))
    finally:
        drop_producer(producer)
    return published + len(waiting)


def _messages(items: Iterable[Message | Refused], refused: dict[str, RefusedRows]) -> Iterator[Message]:
    for item in items:
        if isinstance(item, Refused):
            count_refused(refused, item)
        else:
            yield item
