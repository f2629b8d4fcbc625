"""What the log gives and takes, as plain data, and how its client is reached."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from kafka.errors import (
    AuthorizationError,
    GroupAuthorizationFailedError,
    KafkaError,
    SaslAuthenticationFailedError,
    TopicAuthorizationFailedError,
)

from segmenter.errors import Forbidden, Unreachable
from segmenter.settings import Settings

Position = tuple[str, int]
"""A topic, with its prefix, and a partition."""

HANDSHAKE_SECONDS = 2.0
"""How long a broker may take to say why TLS fails."""


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
def reaching(settings: Settings, right: str = "Describe") -> Iterator[None]:
    """Turn the client's errors into one line that says which broker did not answer, or what it does not allow.

    ``right`` is the operation on topics that the block needs, as Kafka calls it.
    """
    try:
        yield
    except SaslAuthenticationFailedError as error:
        raise Forbidden(
            f"Kafka at {settings.kafka} does not let user {settings.kafka_user!r} in: "
            "are SEGMENTER_KAFKA_USER and SEGMENTER_KAFKA_PASSWORD right?"
        ) from error
    except AuthorizationError as error:
        raise Forbidden(
            f"Kafka at {settings.kafka} does not allow user {settings.kafka_user!r} to {_refused(error, right)}: "
            "grant it (docs/security.md), or set SEGMENTER_KAFKA_USER to one who may."
        ) from error
    except KafkaError as error:
        raise Unreachable(
            f"Kafka at {settings.kafka} does not answer as it should ({error}). "
            f"Is it running, and is SEGMENTER_KAFKA its address?{_about_tls(settings)}"
        ) from error


def _refused(error: AuthorizationError, right: str) -> str:
    """The right that is missing: the operation, and on what."""
    of = error.args[0] if error.args else None
    if isinstance(error, GroupAuthorizationFailedError):
        return f"Read group {of!r}"
    if isinstance(error, TopicAuthorizationFailedError) and of:
        topics = [of] if isinstance(of, str) else sorted(of)
        return f"{right} topic {', '.join(map(repr, topics))}"
    return f"{right} a topic"


def _about_tls(settings: Settings) -> str:
    """What may be wrong with TLS: a handshake of our own tells, since the client keeps that to its log."""
    if settings.kafka_tls == "off":
        return " Does it expect TLS or a user (SEGMENTER_KAFKA_TLS, SEGMENTER_KAFKA_USER)?"
    host, _, port = settings.kafka.split(",")[0].rpartition(":")
    trusted = ssl.create_default_context(cafile=settings.tls_ca or None)
    try:
        with socket.create_connection((host.strip("[]"), int(port)), HANDSHAKE_SECONDS) as plain:
            trusted.wrap_socket(plain, server_hostname=host.strip("[]")).close()
    except ssl.SSLError as error:
        return f" Its TLS fails ({error}): is its certificate for this name, and signed by SEGMENTER_TLS_CA?"
    except OSError:
        return ""
    return ""
