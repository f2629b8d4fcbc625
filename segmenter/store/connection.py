"""Reaching Redis, and making sure it is fit to hold profiles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from segmenter.errors import Corrupt, Forbidden, SettingsError, Unreachable
from segmenter.settings import Settings
from segmenter.settings.urls import masked
from segmenter.store.scripts import line_of

Redis = redis.Redis
"""A connection to the store, by a name that needs no import of the client."""


class Store(NamedTuple):
    """Where the shards are kept."""

    client: Redis
    settings: Settings


ANSWER_SECONDS = 3.0
"""How long Redis may take to accept a connection, or to answer, before it counts as unreachable.

A worker can do nothing else meanwhile, and has to end within 5 s of a signal. A connection that breaks is opened again
once; after silence it is up to the caller when to try again.
"""


IN_SCRIPT = re.compile("The user executing the script can't|ACL failure in script")
"""What Redis says of a command in a script that the user may not run; it is not a NOPERM."""


OF_ANOTHER_TYPE = re.compile("WRONGTYPE|not an integer|attempt to (compare|perform arithmetic)")
"""What Redis says when a key, or a value in a script, is of another type than it must be."""


def connect(settings: Settings) -> redis.Redis:
    """A connection to the store of ``settings``; it is opened by its first use."""
    retry = Retry(ExponentialWithJitterBackoff(base=0.05, cap=1), 1, (redis.ConnectionError,))
    trust = {"ssl_ca_certs": settings.tls_ca} if settings.tls_ca and settings.redis_url.startswith("rediss") else {}
    try:
        client: redis.Redis = redis.Redis.from_url(
            settings.redis_url, socket_timeout=ANSWER_SECONDS, retry=retry, **trust
        )
        client.connection_pool.make_connection()
    except (TypeError, ValueError) as error:
        raise SettingsError(f"SEGMENTER_REDIS_URL {masked(settings.redis_url)!r} cannot be used: {error}.") from error
    return client


@contextmanager
def reaching(client: redis.Redis) -> Iterator[None]:
    """Turn the client's errors into one line that says which Redis did not answer, or what it does not allow."""
    try:
        yield
    except redis.RedisError as error:
        at = client.connection_pool.connection_kwargs
        where, user = f"Redis at {at.get('host')}:{at.get('port')}", at.get("username") or "default"
        if isinstance(error, redis.AuthenticationError):
            raise Forbidden(
                f"{where} does not let user {user!r} in ({error}): are user and password in SEGMENTER_REDIS_URL right?"
            ) from error
        if isinstance(error, redis.exceptions.NoPermissionError) or IN_SCRIPT.search(str(error)):
            raise Forbidden(
                f"{where} does not allow user {user!r} to do that ({error}{_script_line(error)}): grant it "
                "(docs/security.md), or name another user in SEGMENTER_REDIS_URL."
            ) from error
        if OF_ANOTHER_TYPE.search(str(error)):
            raise Corrupt(f"{where} holds something of another type than it must be ({error})") from error
        raise Unreachable(
            f"{where} does not answer as it should ({error}). Is it running, is SEGMENTER_REDIS_URL its address and "
            f"password, and {_about_tls(error)}?"
        ) from error


def _script_line(error: redis.RedisError) -> str:
    """The line of a script that was not allowed: before 7.2, Redis does not name the command in it."""
    at = re.search(r"script: ([0-9a-f]{40}), on @user_script:(\d+)", str(error))
    return f" {line_of(at[1], int(at[2]))}" if at else ""


def _about_tls(error: redis.RedisError) -> str:
    if "SSL" in str(error):
        return "is its certificate for this name, and signed by SEGMENTER_TLS_CA"
    return "does it speak TLS there (rediss://) or not (redis://)"


def answers_of(client: redis.Redis, pipeline: redis.client.Pipeline) -> list[Any]:
    """The answers to a pipeline; in the place of one that is `Corrupt`, that error, which is not raised."""
    with reaching(client):
        answers = pipeline.execute(raise_on_error=False)
    return [_answer(client, answer) for answer in answers]


def _answer(client: redis.Redis, answer: Any) -> Any:
    try:
        with reaching(client):
            if isinstance(answer, Exception):
                raise answer
    except Corrupt as reason:
        return reason
    return answer


def clock_ms(client: redis.Redis) -> int:
    """Now, by the clock of Redis, in milliseconds since 1970."""
    with reaching(client):
        seconds, microseconds = client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000
