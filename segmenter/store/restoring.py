"""Emptying a store for a restore, and marking it until the restore has come to its end."""

from __future__ import annotations

import redis

from segmenter.settings import Settings
from segmenter.store.connection import RESTORING, reaching
from segmenter.store.keys import Keys

_KEYS_AT_A_TIME = 1_000


def half_restored(client: redis.Redis, settings: Settings) -> bool:
    """Whether a restore is under way, or did not get to its end."""
    with reaching(client):
        return bool(client.hexists(Keys(settings.key_prefix).meta(), RESTORING))


def holds_users(client: redis.Redis, settings: Settings) -> bool:
    """Whether there is a row under the prefix."""
    with reaching(client):
        rows = client.scan_iter(Keys(settings.key_prefix).users() + b"*", count=_KEYS_AT_A_TIME)
        return next(rows, None) is not None


def begin_restore(client: redis.Redis, settings: Settings, snapshot_id: int) -> None:
    """Mark the store, so that nobody takes it for whole, and remove every other key under the prefix."""
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
    """The store is whole again."""
    with reaching(client):
        client.hdel(Keys(settings.key_prefix).meta(), RESTORING)
