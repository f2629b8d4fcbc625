"""What published messages of any kinds add up to, in plain Python."""

from __future__ import annotations

import json
from collections.abc import Iterable

from producers.messages import Message
from segmenter.kinds import Kind

MEASURED = {"duration": "duration_ms", "amount": "amount"}


def profiles_of(messages: Iterable[Message], kinds: tuple[Kind, ...]) -> dict[bytes, dict[str, int]]:
    """The profile of each user by field. Every message must be an event; one published again does not count."""
    profiles: dict[bytes, dict[str, int]] = {}
    seen = set()
    for message in messages:
        event = json.loads(message.value or b"")
        if (known := (message.topic, message.key, event["event_id"])) in seen:
            continue
        seen.add(known)
        time_ms = event["time_ms"]
        empty = {field: 0 for kind in kinds for field in kind.fields} | {"first_ms": time_ms, "last_ms": time_ms}
        profile = profiles.setdefault(message.key, empty)
        kind = next(kind for kind in kinds if kind.topic == message.topic)
        profile[kind.fields[0]] += 1
        if kind.measure != "none" and (measure := event.get(MEASURED[kind.measure])) is not None:
            profile[kind.fields[1]] += 1
            profile[kind.fields[2]] += measure
        profile["first_ms"] = min(profile["first_ms"], time_ms)
        profile["last_ms"] = max(profile["last_ms"], time_ms)
    return profiles
