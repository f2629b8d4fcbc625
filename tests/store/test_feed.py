"""The change feed: who moved, why, and how far the user's row had come."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import closing

import pytest

from consumers.worker.acquire import Owner, ShardLog, acquire
from consumers.worker.owned_shard import OwnedShard, fold, sweep, write
from segmenter.model.generation import Generation
from segmenter.settings import Settings
from segmenter.shards.commits import repair_commit
from segmenter.store.connection import Store, connect
from segmenter.store.keys import Keys
from segmenter.store.models import publish
from segmenter.store.rows import read_rows
from segmenter.store.shards import new_token
from tests.defaults import TOPICS
from tests.loop.helpers import rows
from tests.store.ledger import Log, Logged, generation_of, next_batch

Entry = tuple[str, str, str, str, int, dict[str, int]]


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with closing(connect(settings)) as client:
        yield Store(client, dataclasses.replace(settings, partitions=1))


class SoleOwner:
    """The only shard, its log, and its owner."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.log: Log = {topic: [] for topic in TOPICS}
        self.generation: Generation | None = None
        log = ShardLog({topic: f"id of {topic}" for topic in TOPICS}, dict.fromkeys(TOPICS, 0))
        self.shard: OwnedShard = acquire(store, 0, Owner(new_token(), ""), log, None, bytes(16))

    def apply(self, *events: tuple[str, str, int]) -> None:
        """So many events of a user on a topic, one after the other, in one batch."""
        for user, topic, number in events:
            self.log[topic] += [Logged(user.encode(), TOPICS[topic], 5, -1)] * number
        fold(self.store, self.shard, next_batch(self.log, self.shard.offsets, 1_000), self.generation)

    def follow(self, clicks: int) -> None:
        """Publish a generation after the current one, and judge by it from now on."""
        before, number = self.generation, self.generation.number + 1 if self.generation else 1
        self.generation = generation_of(number, clicks)
        assert publish(*self.store, self.generation, before)

    def remove(self, user: str) -> None:
        (row,) = read_rows(*self.store, [user.encode()])
        rows, kinds = {user.encode(): row}, self.store.settings.kinds
        commit = repair_commit({}, [user.encode()], rows, self.shard.state, kinds, self.generation)
        write(self.store, self.shard, commit, self.generation)

    def entries(self) -> list[Entry]:
        """User, from, to, cause, generation and cut of each entry, in the order of their numbers."""
        found = [fields for _, fields in self.store.client.xrange(Keys(self.store.settings.key_prefix).feed(0))]
        assert [int(fields[b"n"]) for fields in found] == list(range(1, len(found) + 1))
        texts = [{name.decode(): value.decode() for name, value in fields.items()} for fields in found]
        return [
            (each["user"], each["from"], each["to"], each["cause"], int(each["generation"]), json.loads(each["cut"]))
            for each in texts
        ]


def newest(entries: list[Entry]) -> dict[bytes, str]:
    """Where everybody is, to a reader that keeps each user's entry with the greatest cut and generation."""
    places: dict[bytes, str] = {}
    for user, _, to, _, _, _ in sorted(entries, key=lambda entry: (sum(entry[5].values()), entry[4])):
        places[user.encode()] = to
    return {user: to for user, to in places.items() if to}


def test_an_entry_says_why_a_user_moved_and_how_far_the_row_had_come(store: Store) -> None:
    """High are those with 4 clicks or more. The model moves who would have moved without their new events.

    The cut is the user's own: others have events after it.
    """
    owner = SoleOwner(store)
    owner.apply(
        ("new", "clickstream", 1), ("busy", "clickstream", 5), ("new", "searches", 2), ("idle", "clickstream", 1)
    )
    first = [
        ("new", "", "unassigned", "behaviour", 0, {"clickstream": 0, "searches": 1}),
        ("busy", "", "unassigned", "behaviour", 0, {"clickstream": 5}),
        ("idle", "", "unassigned", "behaviour", 0, {"clickstream": 6}),
    ]
    assert owner.entries() == first

    owner.follow(clicks=20)
    owner.apply(("new", "clickstream", 3), ("idle", "views", 1))
    second = [
        ("new", "unassigned", "high1", "behaviour", 1, {"clickstream": 9, "searches": 1}),
        ("idle", "unassigned", "low", "model", 1, {"clickstream": 6, "views": 0}),
    ]
    assert owner.entries() == first + second

    assert owner.generation
    sweep(store, owner.shard, owner.generation)
    third = [("busy", "unassigned", "high1", "model", 1, {"clickstream": 5})]
    assert owner.entries() == first + second + third

    owner.apply(("idle", "clickstream", 3), ("busy", "clickstream", 1))
    fourth = [("idle", "low", "high1", "behaviour", 1, {"clickstream": 12, "views": 0})]
    assert owner.entries() == first + second + third + fourth

    owner.follow(clicks=30)
    owner.apply(("busy", "searches", 1))
    fifth = [("busy", "high1", "high0", "model", 2, {"clickstream": 13, "searches": 2})]
    assert owner.entries() == first + second + third + fourth + fifth


def test_who_keeps_the_newest_entry_of_each_user_knows_where_everybody_is(store: Store) -> None:
    """Also that a row was removed, and that it came back."""
    owner = SoleOwner(store)

    def agree() -> bool:
        return newest(owner.entries()) == {user: row.segment for user, row in rows(store.settings).items()}

    owner.apply(("u1", "clickstream", 1), ("u2", "clickstream", 9))
    owner.follow(clicks=20)
    assert owner.generation
    owner.apply(("u1", "clickstream", 9), ("u3", "views", 1))
    assert agree()
    owner.remove("u1")
    assert rows(store.settings).keys() == {b"u2", b"u3"} and agree()
    sweep(store, owner.shard, owner.generation)
    owner.remove("u2")
    assert rows(store.settings).keys() == {b"u3"} and agree()
    owner.apply(("u1", "clickstream", 1))
    assert rows(store.settings).keys() == {b"u1", b"u3"} and agree()
