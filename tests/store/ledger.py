"""What the store must hold, in plain Python: the log, and what of it the writes so far have taken in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from segmenter.model.folding import NO_MEASURE
from segmenter.model.generation import UNASSIGNED, Generation, Segment, Space
from segmenter.shards.batches import Applied, Batch
from tests.defaults import FIELDS, NAMES, TOPICS

Offsets = dict[str, int]

SPACE = Space(NAMES, 1)
"""Of the first generation, by default."""


class Logged(NamedTuple):
    """One event of the log."""

    user: bytes
    kind: str
    time_ms: int
    duration_ms: int
    """In milliseconds, or -1."""


Log = dict[str, list[Logged]]


@dataclass
class Ledger:
    """What the shard is known to hold."""

    token: str | None = None
    version: int = 0
    fenced: int = 0
    dirty: bool = False
    caught_up_ms: int = 0
    """What the owner said last of how fresh the shard is."""
    offsets: Offsets = field(default_factory=lambda: dict.fromkeys(TOPICS, 0))
    ahead: Offsets = field(default_factory=lambda: dict.fromkeys(TOPICS, 0))
    """Up to where a script that failed half-way may have written rows."""
    begins: dict[bytes, Offsets] = field(default_factory=dict)
    """Where the events begin of users whose row was removed."""
    generations: list[Generation] = field(default_factory=list)
    complete_feed: bool = True
    """Whether each move is in the feed: not after a script that failed half-way."""

    @property
    def generation(self) -> Generation | None:
        """The current one."""
        return self.generations[-1] if self.generations else None

    def refusal(self, token: str, version: int) -> str | None:
        """The outcome for an owner who last saw this; None if it may write."""
        if (self.token, self.version) == (token, version):
            return "rolled back" if self.dirty else None
        acquired = self.token not in (None, token) and self.version >= version
        return "not owner" if acquired else "rolled back"

    def events(self, log: Log, user: bytes, last: Mapping[str, int]) -> Iterator[Logged]:
        """A user's events that count: below the shard's offsets, and up to the ``last`` that the row names."""
        for topic, logged in log.items():
            first = self.begins.get(user, {}).get(topic, 0)
            end = max(self.offsets[topic], last.get(topic, -1) + 1)
            yield from (each for each in logged[first:end] if each.user == user)


def next_batch(log: Log, offsets: Mapping[str, int], most: int) -> Batch:
    """The next ``most`` events of each topic."""
    batch = Batch(dict(offsets))
    for topic, logged in log.items():
        first = offsets[topic]
        for offset, each in enumerate(logged[first : first + most], first):
            index = batch.users.setdefault(each.user, len(batch.users))
            measured = each.kind != "search" and each.duration_ms >= 0
            measure = each.duration_ms if measured else NO_MEASURE
            batch.events.append(Applied(index, topic, offset, each.time_ms, measure))
            batch.offsets[topic] = offset + 1
    return batch


def profile_of(events: Sequence[Logged]) -> tuple[int, ...]:
    """The aggregates of some events, one after the other."""
    sums = dict.fromkeys(FIELDS, 0)
    for each in events:
        name = {"click": "click", "search": "search", "view": "view"}[each.kind]
        sums["searches" if name == "search" else f"{name}s"] += 1
        if name != "search" and each.duration_ms >= 0:
            sums[f"{name}s_timed"] += 1
            sums[f"{name}_ms"] += each.duration_ms
    times = [each.time_ms for each in events]
    return tuple((sums | {"first_ms": min(times), "last_ms": max(times)})[name] for name in FIELDS)


def generation_of(number: int, clicks: int, space: Space = SPACE) -> Generation:
    """Two segments that meet where log1p of the clicks is about as near to none as to ``clicks``.

    Of the features, of which the first is the number of clicks, no other matters.
    """
    others = (0.0,) * (len(space.features) - 1)
    near, far = (0.0, *others), (math.log1p(clicks) * 2**20, *others)
    return Generation(
        number=number, cause="bootstrap", features=space.features, features_since=space.since, centres=(near, far),
        segments=(Segment(0, "low", "Low"), Segment(1, f"high{number % 2}", "High")),
        scale=(1.0, *[1e12] * len(others)), fill=near, population=1, fitted_population=1, created_ms=number,
    )  # fmt: skip


def segment_of(clicks: int, generation: Generation | None) -> str:
    """The segment of a user with so many clicks."""
    if generation is None:
        return UNASSIGNED
    middle = generation.centres[1][0] / 2
    return generation.slugs[round(math.log1p(clicks) * 2**20) > middle]
