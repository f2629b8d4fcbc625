"""The name of every key in Redis, built in this one place.

Each is permanent: nothing here expires, and a store that evicts is refused.
"""

from __future__ import annotations

from typing import NamedTuple


class Keys(NamedTuple):
    """Keys under one prefix, so that several environments can share a Redis.

    >>> Keys("seg").user(b"u42")
    b'seg:user:u42'
    """

    prefix: str

    def meta(self) -> str:
        """Hash: ``layout`` (its number), ``rules`` (JSON, what verdicts depend on), ``group`` (where workers meet)."""
        return f"{self.prefix}:meta"

    def model(self) -> str:
        """Hash: the ``current`` number, its ``digest``, the ``names`` of slugs, and recent generations by number."""
        return f"{self.prefix}:model"

    def user(self, user: bytes) -> bytes:
        """Hash: one user's row: ``segment``, ``generation``, ``profile`` (JSON), ``offsets`` (JSON), ``vector``."""
        return self.users() + user

    def users(self) -> bytes:
        """What every user's key begins with."""
        return f"{self.prefix}:user:".encode()

    def shard(self, shard: int) -> str:
        """Hash: what a shard's owner keeps, ``token``, ``version``, ``offsets``, ``census`` and ``counts`` among it."""
        return f"{self.prefix}:shard:{shard}"

    def audience(self, shard: int, segment: str) -> str:
        """Set: the users of one shard that are in one segment."""
        return f"{self.prefix}:audience:{shard}:{segment}"

    def feed(self, shard: int) -> str:
        """Stream: the shard's changes of segment, newest last, cut off at a length."""
        return f"{self.prefix}:feed:{shard}"
