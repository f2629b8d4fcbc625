"""A small site whose every event and user is a row of a table of pandas, and how it gets into a warehouse."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from segmenter import warehouse
from segmenter.events.sharding import shard_of
from segmenter.kinds import BUILT_IN, Kind, by_topic, catalogue
from segmenter.model.features import features
from segmenter.model.generation import Generation, Segment
from segmenter.model.profiles import fields
from segmenter.warehouse import ArrivingValue, Attribute, Loaded, Move, Warehouse, raw_columns

KINDS: tuple[Kind, ...] = tuple(BUILT_IN.values())
PARTITIONS = 2
WINDOW = 50
SLUGS = ("low_engagement", "moderate_engagement", "highly_engaged")
DAY_MS = 86_400_000
START_MS = 1_740_787_200_000  # 2025-03-01 UTC: the clocks of Europe, America and Lord Howe change within the year
MODEL = Generation(
    number=4, cause="bootstrap", features=("total_clicks",), centres=((0.0,),) * 3,
    segments=tuple([Segment(index, slug, f"[b]Name of {slug}") for index, slug in enumerate(SLUGS)]),
    scale=(1.0,), fill=(0.0,), population=90, fitted_population=90, created_ms=5,
)  # fmt: skip


class World(NamedTuple):
    """``users``: user_id, segment, and cut_TOPIC of each kind. ``events``: one row a raw event."""

    users: pd.DataFrame
    events: pd.DataFrame

    def counted(self) -> pd.DataFrame:
        """The events below the cuts of users who have one, each with the segment of its user."""
        merged = self.events.merge(self.users, on="user_id")
        below = [merged["topic"].eq(kind.topic) & (merged["pos"] < merged[f"cut_{kind.topic}"]) for kind in KINDS]
        return merged[np.logical_or.reduce(below)].reset_index(drop=True)

    def unrepeated(self) -> pd.DataFrame:
        """`counted` without those that repeat the event id of the same user, at most a window after the one before."""
        found, last = [], dict[tuple[Any, ...], int]()
        ordered = self.counted().sort_values(["topic", "part", "pos"])
        for at, *which, pos in ordered[["topic", "part", "user_id", "event_id", "pos"]].itertuples():
            repeat = which[-1] is not None and pos - last.get(tuple(which), -(10**9)) <= WINDOW
            last[tuple(which)] = pos
            if not repeat:
                found.append(at)
        return ordered.loc[found]


@cache
def world(seed: int = 1, users: int = 120, events: int = 4_000) -> World:
    """Users of three segments who do different things at different hours; some have no row in the snapshot."""
    rng = np.random.default_rng(seed)
    people = [f"u{number} \xe9".encode("latin-1" if number % 9 == 0 else "utf-8") for number in range(users)]
    segment = rng.integers(0, 3, users)
    chosen = rng.choice(users, events, p=(1 + 4 * segment) / (1 + 4 * segment).sum())
    rank = segment[chosen]
    topics = [kind.topic for kind in KINDS]
    topic = rng.choice(topics, events)
    hour = (rng.normal(6 + 6 * rank, 3) % 24 * 3_600_000).astype(np.int64)
    table = pd.DataFrame({
        "topic": topic,
        "user_id": [people[each] for each in chosen],
        "part": [shard_of(people[each], PARTITIONS) for each in chosen],
        "time_ms": START_MS + rng.integers(0, 300, events) * DAY_MS + hour,
        "event_id": np.where(rng.random(events) < 0.3, [f"e{each}" for each in rng.integers(0, 4, events)], None),
        "device": rng.choice([None, "mobile", "Mobile", "desktop", "desktop "], events),
        "url": [f"/p{min(each, 60)}" if each < 80 else None for each in rng.geometric(0.1, events) * (1 + rank)],
        "item_id": [f"00{each}" if each % 3 else None for each in rng.integers(0, 12, events) * (rank + 1)],
        "query": np.where(topic == "searches", rng.choice(["red shoes", "lamp", "train"], events), None),
        "properties": [properties(rng, rank[at], at) for at in range(events)],
        "duration_ms": [int(each) if each > 300 else None for each in rng.lognormal(6 + rank, 1)],
        "amount": [int(each) if each > -3_000 else None for each in rng.normal(500 + 900 * rank, 2_000)],
    })  # fmt: skip
    texts = ["event_id", "device", "url", "item_id", "query", "properties", "duration_ms", "amount"]
    table[texts] = table[texts].astype(object).where(table[texts].notna(), None)
    table["pos"] = table.groupby(["topic", "part"]).cumcount()
    known = pd.DataFrame({"user_id": people, "segment": [SLUGS[each] for each in segment]})
    for each in topics:
        end = int(table.loc[table["topic"] == each, "pos"].max()) + 1
        known[f"cut_{each}"] = np.where(rng.random(users) < 0.2, end // 2, end)
    return World(known[rng.random(users) < 0.9].reset_index(drop=True), table)


def properties(rng: np.random.Generator, rank: int, at: int) -> str | None:
    """Few texts, texts that differ in every event, a number, what is not there in each, and a name that is none."""
    if rng.random() < 0.2:
        return None
    found: dict[str, Any] = {"country": str(rng.choice(["DE", "FR", "Öster\nreich"][: rank + 1])), "visit": f"v{at}"}
    found |= {"stars": int(rng.integers(5)), "bad name": "x", "list": ["a"]}
    return json.dumps(found, ensure_ascii=bool(at % 2))


def load(database: Warehouse, of: World, model: Generation | None = MODEL) -> None:
    """Load the events and write a snapshot of the users."""
    ends = of.events.groupby(["topic", "part"])["pos"].max() + 1
    parts = {(kind.topic, part): 0 for kind in KINDS for part in range(PARTITIONS)}
    moves = {at: Move(0, int(ends.get(at, 0))) for at in parts}
    warehouse.begin(database, {at: Loaded("t1", 0) for at in parts}, 7)
    warehouse.load(database, {topic: rows(kind, of.events) for topic, kind in by_topic(KINDS).items()}, moves)
    take(database, of, model)


def rows(kind: Kind, events: pd.DataFrame) -> list[tuple[Any, ...]]:
    constant = {"topic_id": "t1", "record_ms": 5, "session_id": None, "referrer": None}
    found = []
    for row in events[events["topic"] == kind.topic].to_dict("records"):
        each: dict[str, Any] = {**constant, **{str(name): value for name, value in row.items()}}
        for name in ("event_id", "item_id"):
            each[name] = None if each[name] is None else each[name].encode()
        found.append(tuple(each[name] for name in raw_columns(kind)))
    return found


def take(database: Warehouse, of: World, model: Generation | None) -> None:
    """Write a snapshot."""
    events = of.unrepeated() if len(of.events) else of.events
    profiles = {user: dict.fromkeys(fields(KINDS), 0) for user in of.users["user_id"]}
    for user, topic, lasted, amount in events[["user_id", "topic", "duration_ms", "amount"]].itertuples(index=False):
        kind = by_topic(KINDS)[topic]
        profiles[user][kind.fields[0]] += 1
        measure = {"duration": lasted, "amount": amount}.get(kind.measure)
        if measure is not None:
            profiles[user][kind.fields[1]] += 1
            profiles[user][kind.fields[2]] += measure
    written = []
    for row in of.users.to_dict("records"):
        user, profile = row["user_id"], profiles[row["user_id"]]
        numbers = features(profile, catalogue(KINDS)).values()
        cuts = [row[f"cut_{kind.topic}"] for kind in KINDS]
        written.append((user, shard_of(user, PARTITIONS), *profile.values(), *numbers, row["segment"], 4, *cuts))
    body = None if model is None else model.encode().decode()
    warehouse.write_snapshot(database, 1_000, {}, [written], model.number if model else 0, body, {})


def set_attributes(database: Warehouse, known: Mapping[Attribute, Mapping[bytes, str | float]]) -> None:
    """Store the values of attributes."""
    values = [ArrivingValue(user, each.name, 5, 0, value) for each, by in known.items() for user, value in by.items()]
    warehouse.load_attributes(database, list(known), [values], timed=True)
