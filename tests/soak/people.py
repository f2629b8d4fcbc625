"""The users of a long life: who is there, what each does now, and what pandas alone says of all that they have done.

Users come one after the other, take on another behaviour from one moment to the next, and fall silent. Some of what
they do is published twice, and some records are no events. The same seed gives the same records in the same order.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Iterator
from itertools import cycle

import numpy as np
import pandas as pd

from producers.messages import Message
from producers.synthetic.generator import START_MS
from producers.synthetic.invalid import invalid_records
from producers.synthetic.personas import PERSONAS, user_id
from segmenter.kinds import HABITS
from tests.chaos import events
from tests.defaults import FIELDS

HABIT_OF = {"clickstream": HABITS["click"], "searches": HABITS["search"], "views": HABITS["view"]}
TOPICS = tuple(HABIT_OF)
REPEATED, REACH = 0.03, 150
"""How many events come again, and at most how many events later."""

INVALID = 0.01
LATE, LATE_MS = 0.02, 600_000
SLOWER = 4
"""How many times as long everything takes after a change of behaviour."""

_ACTIVITY = np.array([persona.activity for persona in PERSONAS], dtype=float)
_SHARES = np.array([persona.share for persona in PERSONAS])


class People:
    """The users, and what has been published of them."""

    def __init__(self, seed: int) -> None:
        self.records: Counter[str] = Counter()
        """How many records there are of each kind: ``event`` (each once), ``repeat`` and ``invalid``."""
        self.profiles = pd.DataFrame(columns=list(FIELDS), dtype="int64")
        """What all events amount to, by user, up to the last `add_up`."""
        self._random = np.random.default_rng(seed)
        self._persona: list[int] = []
        self._activity: list[float] = []
        self._chances: np.ndarray[tuple[int], np.dtype[np.float64]] | None = None
        self._slower = 1
        self._number = 0
        self._unread: list[tuple[str, str, str, int | None, int]] = []
        small = [bad for bad in invalid_records(36, list(TOPICS), "u0", START_MS) if len(bad.value or b"") < 100_000]
        self._invalid = cycle(small)

    @property
    def users(self) -> int:
        """How many have come so far."""
        return len(self._persona)

    def act(self, count: int, grow_to: int, changes: int = 0) -> Iterator[Message]:
        """So many events, and one more for each user who comes, ever more at a time, until there are ``grow_to``.

        So many times, evenly spread, half of the users `change`.
        """
        began = max(1, self.users)
        ahead: list[tuple[int, int, Message]] = []
        for number in range(1, count + 1):
            while self.users < round(began * (grow_to / began) ** (number / count)):
                self._persona.append(int(self._random.choice(len(PERSONAS), p=_SHARES)))
                self._activity.append(float(self._random.lognormal(0.0, 0.5)))
                self._chances = None
                yield self._told("event", self._event(self.users - 1))
            if changes and number % (count // changes) == 0:
                self.change(0.5)
            message = self._event(self._somebody())
            yield self._told("event", message)
            if self._random.random() < REPEATED:
                heapq.heappush(ahead, (number + int(self._random.integers(1, REACH)), self._number, message))
            if self._random.random() < INVALID:
                yield self._told("invalid", next(self._invalid))
            while ahead and (ahead[0][0] <= number or number == count):
                yield self._told("repeat", heapq.heappop(ahead)[2])

    def change(self, share: float) -> None:
        """So many of the users behave like somebody quite different, and all take another time for what they do."""
        other = len(PERSONAS) // 2 * (self._random.random(self.users) < share)
        self._persona = ((np.array(self._persona) + other) % len(PERSONAS)).tolist()
        self._slower = 1 + SLOWER - self._slower
        self._chances = None

    def fall_silent(self, share: float) -> None:
        """So many of the users do nothing any more, until they `wake`. The first one never sleeps."""
        silent = self._random.random(self.users) < share
        pairs = zip(self._activity, silent.tolist(), strict=True)
        self._activity = [self._activity[0], *[0.0 if asleep else busy for busy, asleep in pairs][1:]]
        self._chances = None

    def wake(self) -> None:
        """Those who had fallen silent are as busy as any."""
        self._activity = [busy or float(self._random.lognormal(0.0, 0.5)) for busy in self._activity]
        self._chances = None

    def add_up(self) -> pd.DataFrame:
        """The profiles of all users, after all that was published."""
        names = ["topic", "user_id", "event_id", "duration_ms", "time_ms"]
        fresh = pd.DataFrame(self._unread, columns=names)
        self._unread = []
        if len(fresh):
            once = fresh.drop_duplicates(["topic", "user_id", "event_id"])
            both = pd.concat([self.profiles, events.aggregates(once)]).groupby(level=0)
            sums = both.sum()
            sums["first_ms"], sums["last_ms"] = both["first_ms"].min(), both["last_ms"].max()
            self.profiles = sums.astype("int64")
        return self.profiles

    def _somebody(self) -> int:
        """Who does something next: the busier, the more often."""
        if self._chances is None:
            self._chances = np.cumsum(np.array(self._activity) * _ACTIVITY[self._persona])
        return int(np.searchsorted(self._chances, self._random.random() * self._chances[-1], side="right"))

    def _event(self, user: int) -> Message:
        """What a user does next."""
        self._number += 1
        persona, draw = self._persona[user], self._random.random()
        clicks, searches, _ = (habit.shares[persona] for habit in HABIT_OF.values())
        topic = "clickstream" if draw < clicks else "searches" if draw < clicks + searches else "views"
        late = int(self._random.integers(LATE_MS)) if self._random.random() < LATE else 0
        event = {
            "user_id": user_id(user),
            "time_ms": START_MS + 1_000 * self._number + LATE_MS - late,
            "event_id": f"e{self._number}",
            "url": f"/article/{self._number % 97}",
        }
        median = 0 if topic == "searches" else HABIT_OF[topic].medians[persona]
        if median and self._random.random() < 0.9:
            event["duration_ms"] = min(80_000_000, int(self._slower * median * self._random.lognormal(0.0, 0.6)))
        return Message(topic, user_id(user).encode(), json.dumps(event).encode())

    def _told(self, kind: str, message: Message) -> Message:
        self.records[kind] += 1
        if kind != "invalid":
            event = json.loads(message.value or b"")
            row = (event["user_id"], event["event_id"], event.get("duration_ms"), event["time_ms"])
            self._unread.append((message.topic, *row))
        return message
