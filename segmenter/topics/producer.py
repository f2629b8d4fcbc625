"""Writing to the log: idempotent, acknowledged by all replicas."""

from __future__ import annotations

from collections.abc import Iterable

from kafka import KafkaProducer

from segmenter.settings import Settings
from segmenter.topics.records import client_options, reaching


ANSWER_SECONDS = 3.0
"""How long the broker may take to acknowledge what somebody waits for who may take 5 s to end."""


def open_producer(settings: Settings, patient: bool = True) -> KafkaProducer:
    """A producer whose retries neither lose nor repeat nor reorder a record.

    One that is not ``patient`` gives up within `ANSWER_SECONDS`; whether the record was written is unknown then.
    """
    answer_ms = int(ANSWER_SECONDS * 1000)
    limits = {"request_timeout_ms": answer_ms // 2, "delivery_timeout_ms": answer_ms, "max_block_ms": answer_ms}
    with reaching(settings, "Write"):
        return KafkaProducer(
            **client_options(settings),
            acks="all",
            enable_idempotence=True,
            linger_ms=20,
            batch_size=128 * 1024,
            max_request_size=4 * 1024 * 1024,
            **({} if patient else limits),
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
