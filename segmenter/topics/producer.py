"""Writing to the log: idempotent, acknowledged by all replicas."""

from __future__ import annotations

from collections.abc import Iterable

from kafka import KafkaProducer

from segmenter.settings import Settings
from segmenter.topics.records import client_options, reaching


def open_producer(settings: Settings) -> KafkaProducer:
    """A producer whose retries neither lose nor repeat nor reorder a record."""
    with reaching(settings, "Write"):
        return KafkaProducer(
            **client_options(settings),
            acks="all",
            enable_idempotence=True,
            linger_ms=20,
            batch_size=128 * 1024,
            max_request_size=4 * 1024 * 1024,
        )


def produce_all(
    producer: KafkaProducer, settings: Settings, topic: str, records: Iterable[tuple[bytes | None, bytes | None]]
) -> None:
    """Send (key, value) records to ``topic`` and return when each is acknowledged."""
    with reaching(settings, "Write"):
        sent = [producer.send(topic, value=value, key=key) for key, value in records]
        producer.flush()
        for future in sent:
            future.get(timeout=30)
