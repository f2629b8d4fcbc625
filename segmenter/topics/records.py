"""What the log gives and takes, as plain data, and how its client is reached."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from kafka.errors import KafkaError, SaslAuthenticationFailedError

from segmenter.errors import Forbidden, Unreachable
from segmenter.settings import Settings
from segmenter.topics.reasons import missing_right, underlying

Position = tuple[str, int]
"""A topic, with its prefix, and a partition."""

ABOUT_TLS = {
    "off": "and does it speak without TLS there (SEGMENTER_KAFKA_TLS)",
    "on": "and is its certificate for this name and signed by SEGMENTER_TLS_CA",
}
"""What to look at, by ``kafka_tls``."""


class Record(Protocol):
    """One record as the client gives it; ``timestamp`` is in milliseconds."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


def client_options(settings: Settings) -> dict[str, Any]:
    """What every client of this log is opened with."""
    options = {
        "bootstrap_servers": settings.kafka.split(","),
        "client_id": "segmenter",
        "bootstrap_timeout_ms": 10_000,
        "security_protocol": "SSL" if settings.kafka_tls == "on" else "PLAINTEXT",
        "ssl_cafile": settings.tls_ca or None,
    }
    if settings.kafka_user:
        options |= {
            "security_protocol": "SASL_SSL" if settings.kafka_tls == "on" else "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": settings.kafka_user,
            "sasl_plain_password": settings.kafka_password,
        }
    return options


@contextmanager
def reaching(settings: Settings, right: str = "Read") -> Iterator[None]:
    """Turn the client's errors into one line that says which broker did not answer, or what it does not allow.

    ``right`` is the operation on topics that the block needs, as Kafka calls it.
    """
    try:
        yield
    except KafkaError as error:
        where, user = f"Kafka at {settings.kafka}", settings.kafka_user
        found = underlying(error, client_options(settings))
        if isinstance(found, SaslAuthenticationFailedError):
            raise Forbidden(
                f"{where} does not let user {user!r} in: are SEGMENTER_KAFKA_USER and SEGMENTER_KAFKA_PASSWORD right?"
            ) from error
        if "AuthorizationFailed" in str(found):  # the client wraps some in errors of another kind
            raise Forbidden(
                f"{where} does not allow user {user!r} to {missing_right(found, right)}: grant it (docs/security.md), "
                "or set SEGMENTER_KAFKA_USER to one who may."
            ) from error
        raise Unreachable(
            f"{where} does not answer as it should ({found}). Is it running, is SEGMENTER_KAFKA its address, "
            f"{'' if user else 'must one log in (SEGMENTER_KAFKA_USER), '}{ABOUT_TLS[settings.kafka_tls]}?"
        ) from error
