"""Why the log did not do what was asked, as far as it can be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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

ASKING_MS = 2_000


def missing_right(error: KafkaError, right: str) -> str:
    """The operation that is not allowed, ``right`` if it is one on topics, and on what."""
    of = error.args[0] if error.args else None
    if isinstance(error, GroupAuthorizationFailedError):
        return f"Read group {of!r}"
    if isinstance(error, TopicAuthorizationFailedError) and of:
        return f"{right} topic {', '.join(map(repr, [of] if isinstance(of, str) else sorted(of)))}"
    return f"{right} any topic"


def underlying(error: KafkaError, options: Mapping[str, Any]) -> KafkaError:
    """What is behind an error: a client that finds no broker says why to its log only, so one is asked anew.

    First without logging in, which every broker lets one do. One that then hangs up on who logs in refuses them: it
    says so, too, but kafka-python 3.0 drops what comes together with the end of a connection.
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
