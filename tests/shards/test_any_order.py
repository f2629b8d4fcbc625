"""Aggregates depend on which events there are, not on their order or on how they are divided into commits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmenter.events import Event, Rules, encode
from segmenter.kinds import DEFAULT
from segmenter.model.census import Tally
from segmenter.model.generation import Generation, Segment
from segmenter.shards.batches import batches_of
from segmenter.shards.commits import batch_commit
from segmenter.shards.duplicates import DuplicateWindow
from segmenter.shards.row import Row
from segmenter.shards.state import Counts, ShardState
from tests.chaos.events import aggregates
from tests.defaults import NAMES, TOPICS

RULES = Rules(partitions=1)
KEY = bytes(16)
MODEL = Generation(
    number=1, cause="bootstrap", features=NAMES, features_since=1, centres=((0.0,) * 4,),
    segments=(Segment(0, "all", "All"),), scale=(1.0,) * 4, fill=(0.0,) * 4, population=1, fitted_population=1,
    created_ms=0,
)  # fmt: skip


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


def taken_in(log: pd.DataFrame, model: Generation | None, data: st.DataObject) -> tuple[dict[bytes, Row], ShardState]:
    """The rows and the shard after this log, by commits of as few users and polls of as few records as drawn."""
    rows: dict[bytes, Row] = {}
    state = ShardState("", 0, 0, dict.fromkeys(TOPICS, 0), {}, {}, Counts(), 0, 0, 0, 0)
    seen = DuplicateWindow(100, dict.fromkeys(TOPICS, 0), KEY)
    records = list(as_records(log))
    while records:
        size, commit_rows = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 4))
        polled, records = records[:size], records[size:]
        for batch in batches_of(polled, state.offsets or {}, "", seen, RULES, commit_rows):
            commit = batch_commit(batch, {user: rows.get(user) for user in batch.users}, state, DEFAULT, model)
            rows |= {row.user: row for row in commit.rows}
            state = commit.after
    return rows, state


def log_of(events: Sequence[Published]) -> pd.DataFrame:
    """The events in this order, each with its offset in its topic."""
    names = ("user_id", "time_ms", "event_id", "duration_ms")
    log = pd.DataFrame([{"topic": topic} | {name: getattr(event, name) for name in names} for topic, event in events])
    return log.assign(offset=log.groupby("topic").cumcount(), event=[event for _, event in events])


def as_records(log: pd.DataFrame) -> Iterator[FakeRecord]:
    """The records that hold it."""
    for topic, offset, event in zip(log["topic"], log["offset"].tolist(), log["event"], strict=True):
        yield FakeRecord(topic, offset, event.user_id.encode(), encode(event))


def coordinate(amount: float, count: float = 1) -> int:
    """One number of a vector by its definition; -1 if it is missing."""
    return round(math.log1p(amount / count) * 2**20) if count else -1


@pytest.mark.parametrize("model", [None, MODEL], ids=["before the first generation", "judged"])
@settings(max_examples=60)
@given(events=published(), data=st.data())
def test_any_order_gives_the_aggregates_of_pandas(
    model: Generation | None, events: list[Published], data: st.DataObject
) -> None:
    """Whatever the order of the topics, of the events within one, and of the commits; each repeated id counts once.

    Vectors and census follow from the aggregates; before the first generation they have no numbers.
    """
    copies = [each for each in events if each[1].event_id is not None and data.draw(st.booleans())]
    log = log_of(data.draw(st.permutations(events + copies)))
    once = log[log["event_id"].isna() | ~log.duplicated(["topic", "user_id", "event_id"])]
    expected = aggregates(once)

    rows, state = taken_in(log, model, data)

    found = pd.DataFrame({user.decode(): row.profile for user, row in rows.items()}, index=expected.columns).T
    pd.testing.assert_frame_equal(found.sort_index(), expected)
    last = once.groupby(["user_id", "topic"])["offset"].max()
    for user, row in rows.items():
        users = expected.loc[user.decode()]
        right = [coordinate(users["clicks"]), coordinate(users["searches"])]
        right += [coordinate(users[f"{kind}_ms"], users[f"{kind}s_timed"]) for kind in ("click", "view")]
        right = right if model else []
        assert all(abs(one - other) <= 1 and one * other >= 0 for one, other in zip(row.vector, right, strict=True))
        assert row.offsets == last[user.decode()].to_dict()
        assert (row.segment, row.generation) == (("all", 1) if model else ("unassigned", 0))
    assert state.offsets == dict.fromkeys(TOPICS, 0) | log["topic"].value_counts().to_dict()
    assert state.counts == Counts(len(events), len(copies))
    columns = [[x for x in column if x >= 0] for column in zip(*[row.vector for row in rows.values()], strict=True)]
    squares = tuple(sum(x * x for x in column) for column in columns)
    assert state.census == {
        "all" if model else "unassigned": Tally(len(rows), tuple(map(len, columns)), tuple(map(sum, columns)), squares)
    }
