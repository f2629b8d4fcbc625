"""Reading a shard's change feed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, cast

import redis

from segmenter.settings import Settings
from segmenter.store.connection import reaching
from segmenter.store.keys import Keys

_ENTRIES_AT_A_TIME = 5_000


class Entry(NamedTuple):
    """A change of a user's segment.

    ``before`` is empty for a new user, ``after`` for one whose row was removed.
    """

    at_ms: int
    """When it was written, by Redis' clock."""
    at_seq: int
    """With ``at_ms``, the entry's id."""
    n: int
    """The running number of the shard's changes."""
    user: bytes
    before: str
    after: str
    cause: str
    generation: int


def read_feed(
    client: redis.Redis, settings: Settings, shard: int, after: tuple[int, int] = (0, 0)
) -> Iterator[list[Entry]]:
    """The entries whose ids are greater than ``after``, oldest first, in batches.

    One that cannot be read is left out, so its number is missing. Raises `Corrupt` for a key of another type.
    """
    key = Keys(settings.key_prefix).feed(shard)
    while True:
        first = f"({after[0]}-{after[1]}"
        with reaching(client):
            found = cast(
                "list[tuple[bytes, dict[bytes, bytes]]]", client.xrange(key, min=first, count=_ENTRIES_AT_A_TIME)
            )
        if not found:
            return
        entries = [_entry(_numbers(identifier), fields) for identifier, fields in found]
        yield [entry for entry in entries if entry]
        after = _numbers(found[-1][0])


def _numbers(identifier: bytes) -> tuple[int, int]:
    at_ms, at_seq = identifier.split(b"-")
    return int(at_ms), int(at_seq)


def _entry(at: tuple[int, int], fields: dict[bytes, bytes]) -> Entry | None:
    try:
        before, after, cause = [fields[name].decode() for name in (b"from", b"to", b"cause")]
        return Entry(*at, int(fields[b"n"]), fields[b"user"], before, after, cause, int(fields[b"generation"]))
    except (KeyError, ValueError):
        return None
