"""Writing to the log: idempotent, acknowledged by all replicas."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from kafka import KafkaProducer
from kafka.errors import KafkaTimeoutError

from segmenter.settings import Settings
from segmenter.topics.client import client_options, reaching

ACKNOWLEDGED_SECONDS = 120.0
"""How long to wait for the next acknowledgement."""

DROP_SECONDS = 0.2
"""How long the thread of a producer that is dropped may take to end by itself."""


def open_producer(settings: Settings, block_seconds: float = 60.0) -> KafkaProducer:
    """A producer whose retries neither lose nor repeat nor reorder a record.

    It waits ``block_seconds`` at most for a place to put a record: while it does not know the topic, or is full.
    """
    with reaching(settings, "Write"):
        return KafkaProducer(
            **client_options(settings),
            acks="all",
            enable_idempotence=True,
            linger_ms=20,
            batch_size=128 * 1024,
            max_request_size=4 * 1024 * 1024,
            max_block_ms=int(block_seconds * 1000),
        )


def produce_all(
    producer: KafkaProducer,
    settings: Settings,
    topic: str,
    records: Iterable[tuple[bytes | None, bytes | None]],
    seconds: float = ACKNOWLEDGED_SECONDS,
) -> None:
    """Send (key, value) records to ``topic`` and return when each is acknowledged.

    Raises `Unreachable` when none is for so many ``seconds``; whether the rest will be written is unknown then.
    """
    with reaching(settings, "Write"):
        sent = [producer.send(topic, value=value, key=key) for key, value in records]
        producer.flush(seconds)
        for future in sent:
            future.get(timeout=seconds)


def drop_producer(producer: KafkaProducer) -> None:
    """Let go of a producer at once; what is not acknowledged yet may be lost."""
    producer._sender.force_close()  # to close it, kafka-python 3.0 would first wait for what it has sent
    with suppress(KafkaTimeoutError):
        producer.close(DROP_SECONDS)
