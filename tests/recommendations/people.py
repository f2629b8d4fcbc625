"""Users with tastes, and how they get into a warehouse."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import pandas as pd

from segmenter import warehouse
from segmenter.kinds import DEFAULT, catalogue
from segmenter.warehouse import Loaded, Move, Warehouse
from tests.defaults import FIELDS, RAW_COLUMNS

ODD_ITEMS = ("tea", "Tea", "tea ", "007", "7", "\0jam", "caf\u00e9", "\U0001f47b", 'it\'s "one"', "%s; --")
"""Items that only byte for byte comparison keeps apart, and that are neither SQL nor a text of a terminal."""

Events = list[tuple[str, str | None]]
"""The user and the item of each event."""


def planted(each: int = 30) -> tuple[Events, dict[str, str]]:
    """Two segments, each with 10 items of its own, of which a user had six; and two items that all like."""
    rng = random.Random(5)
    events: Events = []
    segments = {}
    for slug, letter in (("reader", "r"), ("player", "p")):
        for number in range(each):
            user = f"{slug} {number}"
            segments[user] = slug
            own = rng.sample([f"{letter}{item}" for item in range(10)], 6)
            events += [(user, item) for item in (*own, *rng.sample(["x0", "x1"], rng.randrange(3)))]
    return events, segments


def mixed(seed: int, users: int = 40) -> tuple[Events, dict[str, str | None]]:
    """Random events with repeats and odd ids; one user is unassigned, one has no item, one had everything."""
    rng = random.Random(seed)
    items = [*ODD_ITEMS, *[f"i{number}" for number in range(20)]]
    names = [f"u{number}" for number in range(users)]
    segments: dict[str, str | None] = {user: ("a", "b", "c")[number % 3] for number, user in enumerate(names)}
    events: Events = []
    for number, user in enumerate(names):
        pool = items[number % 3 * 6 :]
        events += [(user, rng.choice(pool)) for _ in range(rng.randrange(1, 12))]
    rng.shuffle(events)
    segments |= {"new": None, "idle": "b", "everything": "c"}
    events += [("new", "i3"), ("idle", None), *[("everything", item) for item in items]]
    return events, segments


def frame(events: Events) -> pd.DataFrame:
    """The events that have an item."""
    return pd.DataFrame([each for each in events if each[1] is not None], columns=["user", "item"])


def load(database: Warehouse, events: Events, topics: Sequence[str] = ("views", "clickstream"), parts: int = 3) -> None:
    """The events as raw rows, in turn on topics and partitions, with gaps between their offsets."""
    names = dict.fromkeys(RAW_COLUMNS)
    places = [(topic, part) for topic in topics for part in range(parts)]
    rows: dict[str, list[tuple[object, ...]]] = {topic: [] for topic in topics}
    for number, (user, item) in enumerate(events):
        topic, part = places[number % len(places)]
        known = {"part": part, "pos": number, "topic_id": "t", "user_id": user.encode(), "time_ms": number}
        known |= {"record_ms": 1, "item_id": None if item is None else item.encode()}
        rows[topic].append(tuple({**names, **known}.values()))
    warehouse.begin(database, {place: Loaded("t", 0) for place in places}, 1)
    warehouse.load(database, rows, {place: Move(0, len(events)) for place in places})


def take(database: Warehouse, segments: Mapping[str, str | None]) -> None:
    """A snapshot of users in these segments; None: unassigned."""
    numbers = (*[0] * len(FIELDS), *[None if each.denominator else 0 for each in catalogue(DEFAULT)])
    rows = [(user.encode(), 0, *numbers, slug or "unassigned", 0, 0, 0, 0) for user, slug in segments.items()]
    warehouse.write_snapshot(database, 1_000, {}, [rows], 0, None, {})
