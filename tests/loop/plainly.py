"""What published messages of the default kinds add up to, in plain Python.

No code of the product but the names of a profile's fields, and which user is in which shard.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from producers.messages import Message
from segmenter.events.sharding import shard_of
from segmenter.kinds import DEFAULT
from tests.kinds import plainly


def profiles_of(messages: Iterable[Message]) -> dict[bytes, tuple[int, ...]]:
    """The profile of each user. Every message must be an event; one published again does not count."""
    return {user: tuple(profile.values()) for user, profile in plainly.profiles_of(messages, DEFAULT).items()}


def counts_of(messages: Iterable[Message], partitions: int) -> dict[int, tuple[int, int]]:
    """How many events of each shard count, and how many do not; each counts the first time."""
    found = dict.fromkeys(range(partitions), (0, 0))
    seen = set()
    for message in messages:
        number = shard_of(message.key, partitions)
        known = (message.topic, message.key, json.loads(message.value or b"")["event_id"])
        folded, duplicates = found[number]
        found[number] = (folded, duplicates + 1) if known in seen else (folded + 1, duplicates)
        seen.add(known)
    return found
