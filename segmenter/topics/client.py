"""How the Kafka client is opened, and what its errors mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import (
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    SaslAuthenticationFailedError,
    TopicAuthorizationFailedError,
)
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

from segmenter.errors import ClientLost, Forbidden, Unreachable
from segmenter.settings import Settings
from segmenter.topics.waits import ClientHangs, limited_client

ASKING_MS = 2_000

METADATA_MS = 10_000
"""How long a broker may take to tell a client of the topics and their partitions."""

Position = tuple[str, int]
"""A topic, with its prefix, and a partition."""

ABOUT_TLS = {
    "off": "and does it speak without TLS there (SEGMENTER_KAFKA_TLS)",
    "on": "and is its certificate for this name and signed by SEGMENTER_TLS_CA",
}
"""What to check, by ``kafka_tls``."""


def client_options(settings: Settings) -> dict[str, Any]:
    """What every client of this log is opened with."""
    options = {
        "bootstrap_servers": settings.kafka.split(","),
        "client_id": "segmenter",
        "kafka_client": limited_client,
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
        kind = ClientLost if isinstance(found, ClientHangs) else Unreachable
        raise kind(
            f"{where} does not answer as it should ({found}). Is it running, is SEGMENTER_KAFKA its address, "
            f"{'' if user else 'must one log in (SEGMENTER_KAFKA_USER), '}{ABOUT_TLS[settings.kafka_tls]}?"
        ) from error


def refresh_metadata(consumer: KafkaConsumer) -> None:
    """Have a consumer learn of the topics that it is subscribed to. Raises `KafkaTimeoutError`.

    ``consumer.topics()`` of kafka-python 3.0 does the same, but has no limit of its own.
    """
    manager = consumer._manager
    for _ in range(2):  # the first answer may be to a request from before the subscription
        manager.run(manager.wait_for, manager.cluster.request_update(), METADATA_MS)


def position_of(consumer: KafkaConsumer, partition: TopicPartition) -> int:
    """The next offset to be read of a partition. Raises `KafkaTimeoutError` if the client does not know it in time."""
    found: int | None = consumer.position(partition, timeout_ms=METADATA_MS)
    if found is None:
        raise KafkaTimeoutError(f"the position in {partition.topic} partition {partition.partition} is not known")
    return found


def missing_right(error: KafkaError, right: str) -> str:
    """The operation that is not allowed, ``right`` if it is one on topics, and on what."""
    of = error.args[0] if error.args else None
    if isinstance(error, GroupAuthorizationFailedError):
        return f"Read group {of!r}"
    if isinstance(error, TopicAuthorizationFailedError) and of:
        return f"{right} topic {', '.join(map(repr, [of] if isinstance(of, str) else sorted(of)))}"
    return f"{right} any topic"


def underlying(error: KafkaError, options: Mapping[str, Any]) -> KafkaError:
    """The cause of an error: a client that finds no broker writes it only to its log, so a broker is asked again.

    First without logging in, which every broker allows. A broker that then closes the connection at the login refuses
    the user: it says so, too, but kafka-python 3.0 drops what comes together with the end of a connection.
    """
    if not (isinstance(error, KafkaTimeoutError) and "bootstrap" in str(error)):
        return error
    reached = _ask({**options, "security_protocol": options["security_protocol"].removeprefix("SASL_")})
    if reached is not None:
        return reached
    let_in = _ask(options)
    return SaslAuthenticationFailedError() if isinstance(let_in, KafkaConnectionError) else let_in or error


def _ask(options: Mapping[str, Any]) -> KafkaError | None:
    """Why the first broker cannot be connected to, None if it can."""
    manager = KafkaConnectionManager(NetworkSelector(**options), **options)
    node = manager.cluster.bootstrap_brokers()[0].node_id

    async def connect() -> None:
        await manager.get_connection(node, timeout_ms=ASKING_MS, refresh_metadata_on_err=False)

    try:
        manager.run(connect)
    except KafkaError as error:
        return error
    finally:
        manager.close()
    return None
