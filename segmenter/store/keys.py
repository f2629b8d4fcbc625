"""The name of every key in Redis, built in this one place.

All are permanent but the replies, which expire; a Redis that evicts is refused.
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
        """Hash: ``layout`` (its number), ``rules`` (JSON, what verdicts depend on), ``id`` (random, in the name of the
        workers' group), ``group`` (how often they moved to another one), ``restoring`` (a snapshot's number, or 0 for
        the raw events, until that is restored).
        """
        return f"{self.prefix}:meta"

    def model(self) -> str:
        """Hash: the ``current`` number, its ``digest``, the ``names`` of slugs, and recent generations by number."""
        return f"{self.prefix}:model"

    def user(self, user: bytes) -> bytes:
        """Hash: one user's row: ``segment``, ``generation``, ``profile`` (JSON), ``offsets`` (JSON), ``vector``."""
        return self.users() + user

    def users(self) -> bytes:
        """The beginning of every user's key."""
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
        """The beginning of every audience's key."""
        return f"{self.prefix}:audience:"

    def commands(self, shard: int) -> str:
        """List: commands to the shard's owner, as JSON, the oldest first."""
        return f"{self.prefix}:commands:{shard}"

    def reply(self, command: str) -> str:
        """List: the reply to a command, as JSON; the only key that expires, after a minute."""
        return f"{self.prefix}:reply:{command}"
