"""Aggregates depend on which events there are, not on their order or on how they are divided into commits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from segmenter.events import TOPICS, Event, Rules, encode
from segmenter.shards.batches import batches_of
from segmenter.shards.commits import batch_commit
from segmenter.shards.duplicates import DuplicateWindow
from segmenter.shards.row import Row
from segmenter.shards.state import Counts, ShardState

RULES = Rules(partitions=1)
KEY = bytes(16)


class FakeRecord(NamedTuple):
    """A record as the client gives it."""

    topic: str
    offset: int
    key: bytes
    value: bytes
    partition: int = 0
    timestamp: int = 0


Published = tuple[str, Event]


@st.composite
def published(draw: st.DrawFn) -> list[Published]:
    """Events of a few users on all topics, each with an id of its own or none."""
    one = st.tuples(
        st.sampled_from(sorted(TOPICS)),
        st.sampled_from(["u1", "u2", "u3", "u4"]),
        st.integers(0, 1_000),
        st.one_of(st.none(), st.integers(0, 86_400_000)),
        st.booleans(),
    )
    drawn = draw(st.lists(one, min_size=2, max_size=40))
    return [
        (topic, Event(user, time_ms, event_id=f"e{number}" if named else None, duration_ms=duration_ms))
        for number, (topic, user, time_ms, duration_ms, named) in enumerate(drawn)
    ]


def taken_in(events: Sequence[Published], data: st.DataObject) -> dict[bytes, Row]:
    """The rows after these events, in this order, by commits of as few users and polls of as few records as drawn."""
    rows: dict[bytes, Row] = {}
    state = ShardState("", 0, 0, dict.fromkeys(TOPICS, 0), {}, {}, Counts(), 0, 0, 0, 0)
    seen = DuplicateWindow(100, dict.fromkeys(TOPICS, 0), KEY)
    records = list(as_records(events))
    while records:
        size, commit_rows = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 4))
        polled, records = records[:size], records[size:]
        for batch in batches_of(polled, state.offsets or {}, "", seen, RULES, commit_rows):
            batch = batch_commit(batch, {user: rows.get(user) for user in batch.users}, state, None)
            rows |= {row.user: row for row in batch.rows}
            state = batch.after
    return rows


def as_records(events: Sequence[Published]) -> Iterator[FakeRecord]:
    """The events as the log would hold them."""
    ends = dict.fromkeys(TOPICS, 0)
    for topic, event in events:
        yield FakeRecord(topic, ends[topic], event.user_id.encode(), encode(event))
        ends[topic] += 1


@settings(max_examples=150)
@given(published(), st.data())
def test_any_order_gives_the_same_aggregates(events: list[Published], data: st.DataObject) -> None:
    """The order of the topics, of the events within one, and of the commits."""
    once = taken_in(events, data)
    again = taken_in(data.draw(st.permutations(events)), data)
    assert {user: row.profile for user, row in once.items()} == {user: row.profile for user, row in again.items()}
    assert {user: row.vector for user, row in once.items()} == {user: row.vector for user, row in again.items()}
    assert sum(sum(row.profile[index] for index in (0, 3, 4)) for row in once.values()) == len(events)
