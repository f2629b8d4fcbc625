"""Any kinds of events, a log of them, and what it adds up to in plain pandas."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import hypothesis.strategies as st
import pandas as pd

from segmenter import kinds
from segmenter.events import MAX_AMOUNT, MAX_DURATION_MS, encode, key_of, type_of
from segmenter.kinds import Kind

WINDOW = 3
PLURALS = ("groups", "rows", "selects", "plays", "orders", "deliveries")
"""Some of them are words of SQL."""

BOUNDS = {"none": (0, 0), "duration": (0, MAX_DURATION_MS), "amount": (-MAX_AMOUNT, MAX_AMOUNT)}


class Act(NamedTuple):
    """One event: of which user and kind, when, and what it measures."""

    user: str
    kind: Kind
    time_ms: int
    measure: int | None
    event_id: str | None


@dataclass
class LogRecord:
    """A record as a client gives it."""

    topic: str
    offset: int
    key: bytes
    value: bytes
    partition: int = 0
    timestamp: int = 10**12
    headers: list[tuple[str, bytes]] = field(default_factory=list)


@st.composite
def tables(draw: st.DrawFn) -> tuple[Kind, ...]:
    """One to six kinds with any measures."""
    plurals = draw(st.lists(st.sampled_from(PLURALS), min_size=1, max_size=6, unique=True))
    measures = st.sampled_from(list(BOUNDS))
    return kinds.checked([Kind(f"a_{plural}", plural, plural, draw(measures)) for plural in plurals])


@st.composite
def acts(draw: st.DrawFn, table: tuple[Kind, ...]) -> list[Act]:
    """Events of a few users, some with the id of another."""
    found = []
    for _ in range(draw(st.integers(0, 40))):
        kind = draw(st.sampled_from(table))
        low, high = BOUNDS[kind.measure]
        found.append(
            Act(
                draw(st.sampled_from(["u1", "U1", "u2", "ü"])),
                kind,
                draw(st.integers(0, 10**12)),
                draw(st.none() | st.integers(low, high) | st.sampled_from([low, high])),
                draw(st.none() | st.sampled_from(["e1", "e2"])),
            )
        )
    return found


def log_of(found: list[Act]) -> list[LogRecord]:
    """The records of the events, all topics in one partition each."""
    ends: dict[str, int] = {}
    records = []
    for act in found:
        measured = {"duration": "duration_ms", "amount": "amount"}.get(act.kind.measure)
        fields = {measured: act.measure} if measured else {}
        event = type_of(act.kind)(act.user, act.time_ms, act.event_id, **fields)
        offset = ends.get(act.kind.topic, 0)
        ends[act.kind.topic] = offset + 1
        records.append(LogRecord(act.kind.topic, offset, key_of(act.user), encode(event)))
    return records


def plainly(found: list[Act], table: tuple[Kind, ...]) -> dict[bytes, dict[str, int]]:
    """The aggregates of each user, by pandas from the events alone."""
    frame = pd.DataFrame(
        [(a.user, a.kind.name, a.time_ms, a.measure, a.event_id) for a in found],
        columns=["user", "kind", "time_ms", "measure", "event_id"],
    ).astype({"measure": object})
    frame["offset"] = frame.groupby("kind").cumcount()
    named = frame[frame["event_id"].notna()]
    distance = named.groupby(["kind", "user", "event_id"])["offset"].diff()
    frame = frame.drop(named.index[distance <= WINDOW])
    profiles: dict[bytes, dict[str, int]] = {}
    for user, own in frame.groupby("user"):
        profile: dict[str, int] = {}
        for kind in table:
            of_kind = own[own["kind"] == kind.name]
            measures = [int(measure) for measure in of_kind["measure"].dropna()]
            profile |= dict(zip(kind.fields, (len(of_kind), len(measures), sum(measures)), strict=False))
        profile |= {"first_ms": int(own["time_ms"].min()), "last_ms": int(own["time_ms"].max())}
        profiles[str(user).encode()] = profile
    return profiles
