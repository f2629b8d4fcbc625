"""What published messages add up to, in plain Python.

No code of the product but the names of a profile's fields, and which user is in which shard.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from producers.messages import Message
from segmenter.events.sharding import shard_of
from tests.defaults import FIELDS

PREFIXES = {"clickstream": ("clicks", "click_ms"), "searches": ("searches", ""), "views": ("views", "view_ms")}


def profiles_of(messages: Iterable[Message]) -> dict[bytes, tuple[int, ...]]:
    """The profile of each user. Every message must be an event; one published again does not count."""
    profiles: dict[bytes, dict[str, int]] = {}
    seen = set()
    for message in messages:
        event = json.loads(message.value or b"")
        if (known := (message.topic, message.key, event["event_id"])) in seen:
            continue
        seen.add(known)
        time_ms = event["time_ms"]
        profile = profiles.setdefault(message.key, dict.fromkeys(FIELDS, 0) | {"first_ms": time_ms})
        count, total = PREFIXES[message.topic]
        profile[count] += 1
        if total and "duration_ms" in event:
            profile[f"{count}_timed"] += 1
            profile[total] += event["duration_ms"]
        profile["first_ms"] = min(profile["first_ms"], time_ms)
        profile["last_ms"] = max(profile["last_ms"], time_ms)
    return {user: tuple(profile[name] for name in FIELDS) for user, profile in profiles.items()}


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
