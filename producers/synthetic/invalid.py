"""Invalid records, of every kind that a careless producer sends."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, islice

import msgspec

from producers.messages import Message

YEAR_3000_MS = 32_503_680_000_000


def invalid_records(count: int, topics: list[str], user: str, time_ms: int) -> Iterator[Message]:
    """``count`` invalid records, of each sort in turn, on each topic in turn, in the name of a user.

    >>> next(invalid_records(1, ["views"], "u1", 0)).value
    b'not JSON'
    """
    records = cycle(_records(user, time_ms))
    for topic, (key, value) in islice(zip(cycle(topics), records, strict=False), count):
        yield Message(topic, key, value)


def _records(user: str, time_ms: int) -> list[tuple[bytes, bytes | None]]:
    key = user.encode()
    giant = "u" * 10_000
    return [
        (key, b"not JSON"),
        (key, _json([user, time_ms])),
        (key, _json({"time_ms": time_ms})),
        (key, _json({"user_id": "", "time_ms": time_ms})),
        (key, _json({"user_id": 7, "time_ms": time_ms})),
        (giant.encode(), _json({"user_id": giant, "time_ms": time_ms})),
        (key, _json({"user_id": user, "time_ms": time_ms, "duration_ms": -1})),
        (key, _json({"user_id": user, "time_ms": time_ms, "duration_ms": "long"})),
        (key, _json({"user_id": user, "time_ms": YEAR_3000_MS})),
        (key, _json({"user_id": user, "time_ms": time_ms, "url": "x" * 300_000})),
        (key, None),
        (b"somebody else", _json({"user_id": user, "time_ms": time_ms})),
    ]


def _json(value: object) -> bytes:
    return msgspec.json.encode(value)
