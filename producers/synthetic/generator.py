"""Synthetic events of known personas: the same arguments give the same bytes, on any machine and in any process.

Users come in visits, more by day than by night; few users have most of the events, and some events arrive late.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from producers.messages import Message
from producers.synthetic.invalid import invalid_records
from producers.synthetic.personas import PERSONAS, persona_numbers, user_id
from segmenter.events import encode, key_of, type_of
from segmenter.kinds import DEFAULT, HABITS, Habit, Kind

START_MS = 1_767_571_200_000
"""Where synthetic time begins by default: Monday 2026-01-05 00:00 UTC."""

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
LATE = 0.02
LATE_MS = 600_000
PAUSE_MS = 8_000
DURATION_SPREAD = 0.6
HOURS = np.array([2, 1, 1, 1, 1, 2, 4, 7, 9, 9, 8, 8, 9, 8, 8, 8, 9, 10, 12, 14, 15, 13, 9, 5], dtype=float)
"""How busy each hour of the day is, relative to the others."""

DEVICES = ("mobile", "desktop", "tablet")
SECTIONS = ("news", "sport", "culture", "science", "travel", "food")
WORDS = ("red", "cheap", "best", "late", "small", "new", "shoes", "lamp", "train", "recipe", "score", "hotel")
CHUNK = 20_000

REFUNDS = 0.05
NONE = np.iinfo(np.int64).min
"""Stands for what is not measured."""

_SECTION_PROPERTIES = tuple(msgspec.Raw(msgspec.json.encode({"section": section})) for section in SECTIONS)
_ACTION_PROPERTIES = {
    action: msgspec.Raw(msgspec.json.encode({"action": action}))
    for habit in HABITS.values()
    for action in habit.actions
}

Ints = NDArray[np.int64]


class Columns(NamedTuple):
    """The events as columns, in the order in which they arrive."""

    user: Ints
    kind: Ints
    time_ms: Ints
    measure: Ints
    session: Ints
    opens: NDArray[np.bool_]
    pick: Ints


def generate(
    events: int,
    users: int,
    seed: int,
    start_ms: int = START_MS,
    days: int = 7,
    invalid: int = 0,
    kinds: tuple[Kind, ...] = DEFAULT,
) -> Iterator[Message]:
    """Exactly ``events`` events of ``users`` users within about ``days`` days, and ``invalid`` invalid records.

    `personas` of the same users and seed says who they are. The id of an event is made of the seed and its number, so
    an event that is published twice counts once.
    """
    rng = np.random.default_rng([seed, 1])
    good = _messages(_columns(events, users, seed, start_ms, days, kinds, rng), kinds, seed)
    places = np.sort(rng.choice(events + invalid, size=invalid, replace=False)).tolist()
    bad = invalid_records(invalid, [kind.topic for kind in kinds], user_id(0), start_ms)
    return _mixed(good, bad, places)


def _mixed(good: Iterator[Message], bad: Iterator[Message], places: list[int]) -> Iterator[Message]:
    at = 0
    for place, record in zip(places, bad, strict=True):
        for _ in range(at, place):
            yield next(good)
        yield record
        at = place + 1
    yield from good


def _columns(
    events: int, users: int, seed: int, start_ms: int, days: int, kinds: tuple[Kind, ...], rng: np.random.Generator
) -> Columns:
    persona = persona_numbers(users, seed)
    user = np.repeat(np.arange(users), _counts(events, persona, rng))
    kind = _kinds(persona[user], kinds, rng)
    measure = _measures(persona, user, kind, kinds, rng)
    opens, session = _sessions(persona[user], user, rng)
    lasts = np.array([each.measure == "duration" for each in kinds])[kind]
    time = _times(np.where(lasts, measure, 0), opens, session, start_ms, days, rng)
    late = rng.exponential(LATE_MS, events) * (rng.random(events) < LATE)
    arrival = np.argsort(time + late, kind="stable")
    pick = rng.geometric(0.02, events)
    return Columns(
        user[arrival], kind[arrival], time[arrival], measure[arrival], session[arrival], opens[arrival], pick[arrival]
    )


def _of(field: str, persona: Ints) -> NDArray[np.float64]:
    return np.array([getattr(each, field) for each in PERSONAS], dtype=float)[persona]


def _counts(events: int, persona: Ints, rng: np.random.Generator) -> Ints:
    """The number of events of each user: at least one, if there are enough events."""
    weight = _of("activity", persona) * rng.lognormal(0.0, _of("spread", persona))
    counts = np.zeros(len(persona), dtype=np.int64)
    counts[rng.permutation(len(persona))[:events]] = 1
    return counts + rng.multinomial(events - counts.sum(), weight / weight.sum())


def _habits(kinds: tuple[Kind, ...]) -> list[Habit]:
    return [HABITS.get(kind.name, Habit()) for kind in kinds]


def _kinds(persona: Ints, kinds: tuple[Kind, ...], rng: np.random.Generator) -> Ints:
    """The index of each event's kind; a persona that does none of these does all alike."""
    shares = np.array([habit.shares for habit in _habits(kinds)]).T
    shares[shares.sum(axis=1) == 0] = 1.0
    below = np.cumsum(shares, axis=1) / shares.sum(axis=1, keepdims=True)
    above: Ints = (rng.random(len(persona))[:, None] >= below[persona, :-1]).sum(axis=1)
    return above


def _measures(persona: Ints, user: Ints, kind: Ints, kinds: tuple[Kind, ...], rng: np.random.Generator) -> Ints:
    """What is measured, spread about the median of persona and user: one in ten has none, some amounts are refunds."""
    pace = rng.lognormal(0.0, 0.25, len(persona))[user]
    median = np.array([habit.medians for habit in _habits(kinds)], dtype=float)[kind, persona[user]] * pace
    drawn = np.minimum(median * rng.lognormal(0.0, DURATION_SPREAD, len(user)), DAY_MS).astype(np.int64)
    measured = np.array([each.measure != "none" for each in kinds])[kind] & (rng.random(len(user)) >= 0.1)
    amount = np.array([each.measure == "amount" for each in kinds])[kind]
    if amount.any():
        drawn[amount & (rng.random(len(user)) < REFUNDS)] *= -1
    return np.where(measured, drawn, NONE)


def _sessions(persona: Ints, user: Ints, rng: np.random.Generator) -> tuple[NDArray[np.bool_], Ints]:
    opens = rng.random(len(user)) < 1.0 / _of("visit", persona)
    opens |= np.diff(user, prepend=-1) != 0
    return opens, np.cumsum(opens) - 1


def _times(
    duration: Ints, opens: NDArray[np.bool_], session: Ints, start_ms: int, days: int, rng: np.random.Generator
) -> Ints:
    sessions = int(opens.sum())
    hour = rng.choice(24, size=sessions, p=HOURS / HOURS.sum())
    began = start_ms + rng.integers(0, days, sessions) * DAY_MS + hour * HOUR_MS + rng.integers(0, HOUR_MS, sessions)
    step = (rng.exponential(PAUSE_MS, len(duration)) + 1).astype(np.int64) + np.maximum(duration, 0)
    before = np.cumsum(step) - step
    return np.asarray(began[session] + before - before[opens][session], dtype=np.int64)


def _messages(columns: Columns, kinds: tuple[Kind, ...], seed: int) -> Iterator[Message]:
    for begin in range(0, len(columns.user), CHUNK):
        chunk = [column[begin : begin + CHUNK].tolist() for column in columns]
        for number, (user, kind, *rest) in enumerate(zip(*chunk, strict=True), begin):
            yield _message(f"{seed}-{number}", user_id(user), kinds[kind], *rest)


def _message(
    event_id: str, who: str, kind: Kind, time_ms: int, measure: int, session: int, opens: bool, pick: int
) -> Message:
    about: dict[str, Any] = {"url": f"/article/{pick}"}
    if kind.subject == "query":
        about = {"url": "/search", "query": f"{WORDS[pick % 6]} {WORDS[6 + pick % 5]}"}
    elif kind.subject == "item_id":
        about |= {"item_id": f"a{pick}", "properties": _SECTION_PROPERTIES[pick % 6]}
    if kind.measure != "none" and measure != NONE:
        about["duration_ms" if kind.measure == "duration" else "amount"] = measure
    if actions := HABITS.get(kind.name, Habit()).actions:
        about["properties"] = _ACTION_PROPERTIES[actions[pick % len(actions)]]
    if opens:
        about["referrer"] = "https://search.example/"
    event = type_of(kind)(who, time_ms, event_id, f"s{session}", DEVICES[session % 7 % 3], **about)
    return Message(kind.topic, key_of(who), encode(event))
