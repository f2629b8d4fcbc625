"""What is replayed: one JSON Lines file with repeats and broken records, and what pandas alone says of it.

A line is ``{"topic": …, "key": …, "value": …, "event": true}``; value is the record's text, or null, and event says
whether it is one. A repeat is the very same line again, at most `REACH` lines later.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from producers.messages import Message
from producers.synthetic.generator import START_MS, generate
from producers.synthetic.invalid import invalid_records
from segmenter.events.dead_letters import KEPT_BYTES
from segmenter.kinds import DEFAULT, Kind

REACH = 500
REPEATED = 0.03
BROKEN = 0.02
GIANTS = 10
"""How many records have 300 kB, more than an event may have."""
MEASURED = {"duration": "duration_ms", "amount": "amount"}


class Expected(NamedTuple):
    """What the store must say in the end."""

    records: int
    events: int
    """Repeats included: the warehouse keeps them."""
    aggregates: str
    """The SHA-256 over all users' aggregates."""
    counted: dict[bytes, int]
    """How many events of each user count."""


def write(
    path: Path,
    events: int,
    users: int,
    seed: int,
    broken: float = BROKEN,
    kinds: tuple[Kind, ...] = DEFAULT,
    at_first: tuple[Kind, ...] | None = None,
) -> int:
    """Make the file, with a broken record after this share of the events; returns the number of its lines.

    The first half of it has only the kinds ``at_first``, if these are given.
    """
    rng = random.Random(seed)
    ahead: list[tuple[int, str]] = []
    lines = 0
    bad = _bad(events, at_first or kinds)
    first = events // 2 if at_first else 0
    good = generate(events - first, users, seed, kinds=kinds)
    if at_first:
        good = chain(generate(first, users, seed + 10_000, kinds=at_first), good)
    with path.open("w", encoding="utf-8") as file:

        def put(line: str) -> None:
            nonlocal lines
            file.write(line)
            lines += 1

        for message in good:
            while ahead and ahead[0][0] <= lines:
                put(ahead.pop(0)[1])
            line = _line(message, True)
            put(line)
            if rng.random() < REPEATED:
                ahead.append((lines + rng.randrange(REACH), line))
                ahead.sort()
            if rng.random() < broken:
                put(_line(next(bad), False))
        for _, line in ahead:
            put(line)
    return lines


def messages(path: Path) -> Iterator[Message]:
    """The records of a file, to be published."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            read = json.loads(line)
            value = read["value"]
            yield Message(read["topic"], read["key"].encode(), None if value is None else value.encode())


def expected(path: Path, kinds: tuple[Kind, ...] = DEFAULT) -> Expected:
    """What a file amounts to, by pandas and hashlib alone."""
    once = counting(path)
    table = aggregates(once, kinds)
    digest = hashlib.sha256()
    by_bytes = {user.encode(): row for user, *row in table.itertuples()}
    for user in sorted(by_bytes):
        digest.update(" ".join([user.hex(), *map(str, by_bytes[user])]).encode() + b"\n")
    counted = {user.encode(): int(count) for user, count in once.groupby("user_id").size().items()}
    lines = pd.read_json(path, lines=True, dtype=False)
    return Expected(len(lines), int(lines["event"].sum()), digest.hexdigest(), counted)


def invalid(path: Path) -> Counter[tuple[str, str, int]]:
    """How often each invalid record must be among the dead letters: by topic, what is kept of the key, and length."""
    with path.open(encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    return Counter(
        (line["topic"], line["key"][:KEPT_BYTES], len((line["value"] or "").encode()))
        for line in lines
        if not line["event"]
    )


def counting(path: Path) -> pd.DataFrame:
    """The events of a file that count: each id once."""
    lines = pd.read_json(path, lines=True, dtype=False)
    good = lines[lines["event"]]
    events = pd.DataFrame([json.loads(value) for value in good["value"]])
    events["topic"] = good["topic"].to_numpy()
    return events.drop_duplicates(["topic", "user_id", "event_id"])


def aggregates(events: pd.DataFrame, kinds: tuple[Kind, ...] = DEFAULT) -> pd.DataFrame:
    """One row per user, the fields of each kind in their order, then the times."""
    users = pd.DataFrame(index=sorted(events["user_id"].unique()))
    for kind in kinds:
        grouped = events[events["topic"] == kind.topic].groupby("user_id")
        users[kind.fields[0]] = grouped.size()
        if kind.measure != "none":
            measures = grouped[MEASURED[kind.measure]]
            users[kind.fields[1]], users[kind.fields[2]] = measures.count(), measures.sum()
    users = users.fillna(0)
    times = events.groupby("user_id")["time_ms"]
    users["first_ms"], users["last_ms"] = times.min(), times.max()
    return users.astype("int64")


def _bad(records: int, kinds: tuple[Kind, ...]) -> Iterator[Message]:
    giants = 0
    for message in invalid_records(records, [kind.topic for kind in kinds], "u0", START_MS):
        giant = message.value is not None and len(message.value) > 100_000
        giants += giant
        if not giant or giants <= GIANTS:
            yield message


def _line(message: Message, event: bool) -> str:
    value = None if message.value is None else message.value.decode()
    return json.dumps({"topic": message.topic, "key": message.key.decode(), "value": value, "event": event}) + "\n"
