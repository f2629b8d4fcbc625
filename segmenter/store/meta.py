"""What holds for the whole store: layout, rules, its id and the group of its workers, whether it is being restored."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import msgspec
import redis

from segmenter.errors import Corrupt, NewerVersion, NothingYet, SegmenterError, UsageError
from segmenter.events import Rules, agreeing
from segmenter.kinds import catalogue
from segmenter.settings import Settings
from segmenter.settings.urls import masked
from segmenter.store.connection import Store, connect, reaching
from segmenter.store.keys import Keys
from segmenter.store.scripts import script

LAYOUT = 1
"""The number of the layout of keys and fields that this version reads and writes."""

RESTORING = "restoring"
"""The field of the meta hash with the number of the snapshot that is being restored, 0 for the raw events."""

_ID, _GROUP = "id", "group"
_KEYS_AT_A_TIME = 1_000


def check(client: redis.Redis, settings: Settings) -> None:
    """Raise `UsageError` unless this version can read the layout of the store."""
    with reaching(client):
        layout = client.hget(Keys(settings.key_prefix).meta(), "layout")
    if layout is not None and int(layout) != LAYOUT:
        raise UsageError(
            f"{masked(settings.redis_url)} holds layout {int(layout)} under {settings.key_prefix!r}, this version "
            f"reads layout {LAYOUT}. Use the matching version, another SEGMENTER_KEY_PREFIX, or an empty store."
        )


@contextmanager
def open_store(settings: Settings, writing: bool = False) -> Iterator[Store]:
    """The store of ``settings``, after checking that it may be read, or written; closed at the end.

    Its settings have the kinds that are in force. Raises what `check`, `require_whole` and `require_rules` do, or
    `claim` if ``writing``.
    """
    client = connect(settings)
    try:
        if writing:
            rules = claim(client, settings, Rules.of(settings))
        else:
            check(client, settings)
            rules = require_rules(client, settings, Rules.of(settings))
            require_whole(client, settings)
        yield Store(client, in_force(settings, rules))
    finally:
        client.close()


def in_force(settings: Settings, rules: Rules) -> Settings:
    """The settings with the kinds of the store's rules: one that was added since waits until all workers know it."""
    given = {feature.name for feature in catalogue(rules.kinds)}
    wanted = tuple([name for name in settings.features if name in given])
    return dataclasses.replace(settings, kinds=rules.kinds, features=wanted)


def claim(client: redis.Redis, settings: Settings, rules: Rules) -> Rules:
    """Make sure that a worker may write to the store, and return its rules: see `claim_rules` and `require_whole`."""
    stored = claim_rules(client, settings, rules)
    require_whole(client, settings)
    return stored


def claim_rules(client: redis.Redis, settings: Settings, rules: Rules) -> Rules:
    """Make sure that the store never evicts and has the same layout and rules, but for kinds that these add.

    An empty store gets them, and a store of an earlier version the rules that it lacks.
    """
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
    before = encoded_rules(client, settings)
    stored = require_rules(client, settings, rules)
    if before is not None and msgspec.json.decode(before) != msgspec.json.decode(msgspec.json.encode(stored)):
        replace_rules(client, settings, before, stored, regroup=False)
    return stored


def require_rules(client: redis.Redis, settings: Settings, rules: Rules) -> Rules:
    """The rules of the store; these if it has none yet. Raises `RulesDiffer` if it has others, or kinds they lack."""
    encoded = encoded_rules(client, settings)
    return agreed_rules(settings, encoded, rules) if encoded else rules


def replace_rules(client: redis.Redis, settings: Settings, before: bytes, rules: Rules, regroup: bool) -> bool:
    """Store rules if these, encoded, still are the ones ``before``; with ``regroup`` workers move to another group.

    Returns whether they are stored now.
    """
    keys = [Keys(settings.key_prefix).meta()]
    with reaching(client):
        return bool(script(client, "rules")(keys=keys, args=[before, msgspec.json.encode(rules), int(regroup)]))


def stored_partitions(client: redis.Redis, settings: Settings) -> int | None:
    """The number of shards, as the store's rules say; None if it has none yet. Raises `Corrupt`."""
    encoded = encoded_rules(client, settings)
    return decode_rules(settings, encoded).partitions if encoded else None


def encoded_rules(client: redis.Redis, settings: Settings) -> bytes | None:
    """The rules as they are stored; None if there are none yet."""
    with reaching(client):
        return cast("bytes | None", client.hget(Keys(settings.key_prefix).meta(), "rules"))


def decode_rules(settings: Settings, encoded: bytes) -> Rules:
    """The rules of `encoded_rules`; those that the version that stored them did not know have their defaults."""
    try:
        return msgspec.convert(_fields(settings, encoded), type=Rules)
    except msgspec.ValidationError as error:
        raise NewerVersion(_where(settings), [str(error)]) from error


def agreed_rules(settings: Settings, encoded: bytes, ours: Rules) -> Rules:
    """The rules of `encoded_rules`. Raises `RulesDiffer` unless ours are the same, but for kinds that they add."""
    return agreeing(_where(settings), _fields(settings, encoded), ours)


def _fields(settings: Settings, encoded: bytes) -> dict[str, object]:
    try:
        return msgspec.json.decode(encoded, type=dict[str, object])
    except msgspec.DecodeError as error:
        raise Corrupt(f"the rules in {_where(settings)} cannot be read ({error})") from error


def _where(settings: Settings) -> str:
    return f"Redis under {settings.key_prefix!r}"


def require_whole(client: redis.Redis, settings: Settings) -> None:
    """Raise `NothingYet` during a restore, or after one that was not finished."""
    with reaching(client):
        snapshot = cast("bytes | None", client.hget(Keys(settings.key_prefix).meta(), RESTORING))
    if snapshot is not None:
        what = f"snapshot {int(snapshot)}" if int(snapshot) else "the raw events"
        raise NothingYet(
            f"Redis under {settings.key_prefix!r} holds only a part of {what}: wait until `segmenter restore` is done, "
            "or run it again."
        )


def group_in_use(client: redis.Redis, settings: Settings) -> str:
    """The group of the workers of this store, ``GROUP.ID``; once it got stuck, ``GROUP.ID.1`` and so on.

    The id is random, and drawn when a worker first asks. So no two stores share a group, whatever their settings are:
    else each would get only a part of the shards.
    """
    meta = Keys(settings.key_prefix).meta()
    with reaching(client):
        while True:
            found, number = cast("list[bytes | None]", client.hmget(meta, _ID, _GROUP))
            if found is not None:
                break
            client.hsetnx(meta, _ID, secrets.token_hex(4))
    return ".".join((settings.group, found.decode(), *([] if number is None else [number.decode()])))


def store_id(client: redis.Redis, settings: Settings) -> str:
    """The random id of this store; empty before a worker has asked for it."""
    with reaching(client):
        found = cast("bytes | None", client.hget(Keys(settings.key_prefix).meta(), _ID))
    return (found or b"").decode()


def next_group(client: redis.Redis, settings: Settings, stuck: str) -> None:
    """Move the workers to the next group, unless they have left the ``stuck`` one already."""
    _, _, number = stuck.removeprefix(f"{settings.group}.").partition(".")
    with reaching(client):
        script(client, "regroup")(keys=[Keys(settings.key_prefix).meta()], args=[number])


def is_half_restored(client: redis.Redis, settings: Settings) -> bool:
    """Whether a restore is going on, or was not finished."""
    with reaching(client):
        return bool(client.hexists(Keys(settings.key_prefix).meta(), RESTORING))


def holds_users(client: redis.Redis, settings: Settings) -> bool:
    """Whether the store has any row."""
    with reaching(client):
        rows = client.scan_iter(Keys(settings.key_prefix).users() + b"*", count=_KEYS_AT_A_TIME)
        return next(rows, None) is not None


def begin_restore(client: redis.Redis, settings: Settings, snapshot_id: int) -> None:
    """Mark the store as being restored, from raw events if the number is 0, and remove all else under its prefix."""
    meta = Keys(settings.key_prefix).meta()
    with reaching(client):
        client.hset(meta, RESTORING, snapshot_id)
        cursor = 0
        while True:
            cursor, found = client.scan(cursor, match=f"{settings.key_prefix}:*", count=_KEYS_AT_A_TIME)
            if stale := [key for key in found if key != meta.encode()]:
                client.unlink(*stale)
            if cursor == 0:
                return


def end_restore(client: redis.Redis, settings: Settings) -> None:
    """Remove the mark of `begin_restore`: the store is whole again."""
    with reaching(client):
        client.hdel(Keys(settings.key_prefix).meta(), RESTORING)
