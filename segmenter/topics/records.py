"""What the log gives and takes, as plain data, and how its client is reached."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from kafka.errors import KafkaError

from segmenter.errors import Unreachable
from segmenter.settings import Settings

Position = tuple[str, int]
"""A topic, with its prefix, and a partition."""


class Record(Protocol):
    """One record as the client gives it; ``timestamp`` is in milliseconds."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


def client_options(settings: Settings) -> dict[str, Any]:
    """What every client of this log is opened with."""
    return {
        "bootstrap_servers": settings.kafka.split(","),
        "client_id": "segmenter",
        "bootstrap_timeout_ms": 10_000,
    }


@contextmanager
def reaching(settings: Settings) -> Iterator[None]:
    """Turn the client's errors into one line that says which broker did not answer."""
    try:
        yield
    except KafkaError as error:
        raise Unreachable(
            f"Kafka at {settings.kafka} does not answer as it should ({error}). "
            "Is it running, and is SEGMENTER_KAFKA its address?"
        ) from error
