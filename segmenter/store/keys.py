"""The name of every key in Redis, built in this one place.

Each is permanent but the answers, which expire; a store that evicts is refused.
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
        """Hash: ``layout`` (its number), ``rules`` (JSON, what verdicts depend on), ``group`` (where workers meet),
        ``restoring`` (a snapshot's number, while it is only partly there).
        """
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
        return f"{self.audiences()}{shard}:{segment}"

    def feed(self, shard: int) -> str:
        """Stream: the shard's changes of segment, newest last, cut off at a length."""
        return f"{self.prefix}:feed:{shard}"

    def audiences(self) -> str:
        """What the key of every shard's audiences begins with."""
        return f"{self.prefix}:audience:"

    def wishes(self, shard: int) -> str:
        """List: what others wish the shard's owner to do, as JSON, the oldest first."""
        return f"{self.prefix}:wishes:{shard}"

    def answer(self, wish: str) -> str:
        """List: what became of a wish, as JSON; the only key that expires, after a minute."""
        return f"{self.prefix}:answer:{wish}"
