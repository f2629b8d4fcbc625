"""Reaching Redis, and making sure it is fit to hold profiles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import msgspec
import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from segmenter.errors import Forbidden, RulesDiffer, SegmenterError, SettingsError, Unreachable, UsageError
from segmenter.events import Rules
from segmenter.settings import Settings
from segmenter.store.keys import Keys
from segmenter.store.scripts import line_of
from segmenter.urls import masked

Redis = redis.Redis
"""A connection to the store, by a name that needs no import of the client."""

ANSWER_SECONDS = 3.0
"""How long Redis may take to accept a connection, or to answer, before it counts as unreachable.

A worker can do nothing else meanwhile, and has to end within 5 s when told to. A connection that breaks is made anew
once; silence is not asked again, that is for the caller to pace.
"""

LAYOUT = 1
"""The number of the layout of keys and fields that this version reads and writes."""

RESTORING = "restoring"
"""The field of the meta key that names the snapshot which is being restored."""

IN_SCRIPT = re.compile("The user executing the script can't|ACL failure in script")
"""What Redis says of a command in a script that the user may not run; it is no NOPERM."""


def connect(settings: Settings) -> redis.Redis:
    """A connection to the store of ``settings``; it is first used when something is asked of it."""
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
                f"{where} does not allow that to user {user!r} ({error}{_script_line(error)}): grant it "
                "(docs/security.md), or name another user in SEGMENTER_REDIS_URL."
            ) from error
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


def check(client: redis.Redis, settings: Settings) -> None:
    """Raise unless the store may be read: its layout is this version's."""
    with reaching(client):
        layout = client.hget(Keys(settings.key_prefix).meta(), "layout")
    if layout is not None and int(layout) != LAYOUT:
        raise UsageError(
            f"{masked(settings.redis_url)} holds layout {int(layout)} under {settings.key_prefix!r}, this version "
            f"reads layout {LAYOUT}. Use the matching version, another SEGMENTER_KEY_PREFIX, or an empty store."
        )


def require_whole(client: redis.Redis, settings: Settings) -> None:
    """Raise `UsageError` while a restore is under way, or after one that did not get to its end."""
    with reaching(client):
        snapshot = cast("bytes | None", client.hget(Keys(settings.key_prefix).meta(), RESTORING))
    if snapshot is not None:
        raise UsageError(
            f"Redis under {settings.key_prefix!r} holds only a part of snapshot {int(snapshot)}: let "
            "`segmenter restore` end, or run it again."
        )


def claim(client: redis.Redis, settings: Settings, rules: Rules) -> None:
    """Raise unless the store may be worked on: it is not half restored, and `hold` has nothing against it."""
    hold(client, settings, rules)
    require_whole(client, settings)


def hold(client: redis.Redis, settings: Settings, rules: Rules) -> None:
    """Raise unless the store may be written: it never evicts, and judges by the same rules. An empty one takes ours."""
    check(client, settings)
    with reaching(client):
        policy = client.info("memory")["maxmemory_policy"]
        if policy != "noeviction":
            raise SegmenterError(
                f"Redis would evict profiles: maxmemory-policy is {policy}, it must be noeviction. "
                "Set it in redis.conf, or run `redis-cli config set maxmemory-policy noeviction`."
            )
        meta = Keys(settings.key_prefix).meta()
        client.hsetnx(meta, "layout", LAYOUT)
        client.hsetnx(meta, "rules", msgspec.json.encode(rules))
    require_rules(client, settings, rules)


def require_rules(client: redis.Redis, settings: Settings, rules: Rules) -> None:
    """Raise `RulesDiffer` unless the store judges by these rules, or by none yet."""
    with reaching(client):
        found = cast("bytes | None", client.hget(Keys(settings.key_prefix).meta(), "rules"))
    stored, ours = found and msgspec.json.decode(found, type=dict[str, object]), msgspec.to_builtins(rules)
    if stored and stored != ours:
        raise RulesDiffer(f"Redis under {settings.key_prefix!r}", stored, ours)


def clock_ms(client: redis.Redis) -> int:
    """Now, by the clock of Redis, in milliseconds since 1970."""
    with reaching(client):
        seconds, microseconds = client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000
