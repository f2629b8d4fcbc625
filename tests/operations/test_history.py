"""Asked for a time that has passed, the answer is what it was then, or unknown; it is never another one."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from contextlib import closing

import pytest

from consumers.worker.acquire import Owner, ShardLog, acquire
from consumers.worker.owned_shard import sweep
from segmenter import warehouse
from segmenter.errors import UsageError
from segmenter.model.history import Past
from segmenter.operations import snapshot
from segmenter.operations.history.past import look_back
from segmenter.settings import Settings
from segmenter.store.connection import Store, clock_ms, connect
from segmenter.store.keys import Keys
from segmenter.store.shards import new_token
from tests.defaults import TOPICS
from tests.loop.helpers import rows
from tests.store.test_feed import SoleOwner

USERS = ["u1", "u2", "u3", "u4"]
State = dict[str, str]


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with closing(connect(settings)) as client:
        yield Store(client, dataclasses.replace(settings, partitions=1))


class Life:
    """A shard, and where everybody was after each thing that happened to it."""

    def __init__(self, store: Store) -> None:
        self.store, self.owner = store, SoleOwner(store)
        self.feed = Keys(store.settings.key_prefix).feed(0)
        self.seen: dict[int, State] = {}
        self.kept: dict[str, tuple[bytes, int]] = {}

    def look(self) -> None:
        """Remember where everybody is, at a time of its own."""
        at = self.tick()
        self.seen[at] = {user.decode(): row.segment for user, row in rows(self.store.settings).items()}
        self.tick()

    def tick(self) -> int:
        """The next millisecond of Redis."""
        before = clock_ms(self.store.client)
        while (now := clock_ms(self.store.client)) == before:
            pass
        return now

    def judge_anew(self, clicks: int) -> None:
        self.owner.follow(clicks)
        assert self.owner.generation
        sweep(self.store, self.owner.shard, self.owner.generation)

    def copy(self, incremental: bool = False) -> None:
        snapshot.take(self.store.settings, clock_ms(self.store.client), incremental)

    def save(self) -> None:
        """Remember all that Redis holds."""
        keys = [key.decode() for key in self.store.client.scan_iter(f"{self.store.settings.key_prefix}:*")]
        self.kept = {key: self.store.client.dump(key) for key in keys}
        self.saved_ms, self.generation = self.tick(), self.owner.generation

    def lose(self) -> None:
        """Redis holds what was saved: it has lost what came later, and so nobody knows where everybody was then."""
        client = self.store.client
        for key in [key.decode() for key in client.scan_iter(f"{self.store.settings.key_prefix}:*")]:
            client.delete(key)
        for key, value in self.kept.items():
            client.restore(key, 0, value)
        self.seen = {at: state for at, state in self.seen.items() if at <= self.saved_ms}
        self.owner.generation = self.generation
        log = ShardLog({topic: f"id of {topic}" for topic in TOPICS}, dict.fromkeys(TOPICS, 0))
        self.owner.shard = acquire(self.store, 0, Owner(new_token(), ""), log, self.generation, bytes(16))

    def asked(self) -> dict[int, list[Past]]:
        """The answers of today, for all times that were looked at."""
        return {at: look_back(self.store.settings, USERS, at)[0] for at in self.seen}


@pytest.mark.parametrize("seed", range(4))
def test_every_time_is_known_as_long_as_snapshots_come_in_time(store: Store, seed: int) -> None:
    """From the first change on, whether or not it has been copied."""
    rng, life = random.Random(seed), Life(store)
    life.owner.apply(("u1", "clickstream", 1))
    for number in range(12):
        match rng.randrange(5):
            case 0 | 1:
                life.owner.apply((rng.choice(USERS), rng.choice(list(TOPICS)), rng.randrange(1, 9)))
            case 2:
                life.judge_anew(clicks=10 + number)
            case 3 if present := sorted(rows(store.settings)):
                life.owner.remove(rng.choice(present).decode())
            case 4:
                life.copy(incremental=rng.random() < 0.5)
        life.look()
    for at, answers in life.asked().items():
        assert [past.segment for past in answers] == [life.seen[at].get(user, "") for user in USERS]


@pytest.mark.parametrize("seed", range(5))
def test_an_answer_is_right_or_unknown(store: Store, seed: int) -> None:
    """Whatever was cut off the feed before it was copied, and whatever Redis has lost."""
    rng, life = random.Random(seed), Life(store)
    life.owner.apply(*[(user, "clickstream", 3) for user in USERS[:3]])
    life.save()
    for number in range(20):
        match rng.randrange(7):
            case 0 | 1:
                life.owner.apply((rng.choice(USERS), rng.choice(list(TOPICS)), rng.randrange(1, 9)))
            case 2:
                life.judge_anew(clicks=10 + number)
            case 3:
                life.copy(incremental=rng.random() < 0.5)
            case 4:
                store.client.xtrim(life.feed, maxlen=rng.randrange(4), approximate=False)
            case 5:
                life.save()
            case 6:
                life.lose()
        life.look()
    for at, answers in life.asked().items():
        for user, past in zip(USERS, answers, strict=True):
            assert past.segment in (None, life.seen[at].get(user, ""))


def test_across_a_gap_it_says_what_is_known_before_and_after(store: Store) -> None:
    life = Life(store)
    life.owner.apply(("u1", "clickstream", 1), ("u2", "clickstream", 1))
    life.copy()
    life.judge_anew(clicks=10)
    life.look()
    (in_gap,) = life.seen
    life.owner.apply(("u1", "clickstream", 30))
    store.client.xtrim(life.feed, maxlen=1, approximate=False)
    life.copy()
    life.look()
    (past,), _ = look_back(store.settings, ["u2"], in_gap)
    assert past.segment is None
    assert past.before and past.before[1] == "unassigned" and past.before[0] < in_gap
    assert past.after and past.after[1] == "low" and past.after[0] > in_gap
    (now,), _ = look_back(store.settings, ["u2"], max(life.seen))
    assert now.segment == life.seen[max(life.seen)]["u2"]


def test_a_time_to_come_is_refused(store: Store) -> None:
    Life(store).owner.apply(("u1", "clickstream", 1))
    with pytest.raises(UsageError, match="a time to come"):
        look_back(store.settings, ["u1"], clock_ms(store.client) + 60_000)


def test_each_snapshot_removes_what_is_older_than_the_retention(store: Store) -> None:
    life, day_ms = Life(store), 86_400_000
    life.owner.apply(("u1", "clickstream", 1))
    life.copy()
    settings = dataclasses.replace(store.settings, retention_days=2)
    with warehouse.connect(settings) as database:
        ages = [(1, 1), (1, 3), (0, 5)]
        for number, (moved, days) in enumerate(ages, 2):
            at_ms = clock_ms(store.client) - days * day_ms
            change = warehouse.StoredChange(0, b"u%d" % number, at_ms, 0, "", "low", "behaviour", 1)
            followed = [warehouse.Followed([change], [])] * moved
            warehouse.write_snapshot(database, at_ms, {}, [], 0, None, {}, follow=lambda *_, feeds=followed: feeds)
        done = snapshot.take_and_keep(settings, None)
        assert (done.snapshot.snapshot_id, done.removed) == (5, [3, 4])
        past = warehouse.read_past(database, dict.fromkeys((b"u1", b"u2", b"u3"), 0).items())
        kept = {user for user, of in past.items() if of.changes}
        assert kept == {b"u1", b"u2"}
        assert snapshot.take_and_keep(store.settings, None).removed == []


@pytest.mark.parametrize("seed", range(4))
def test_what_is_removed_is_unknown_and_the_rest_stays_as_it_was(store: Store, seed: int) -> None:
    """Changes older than the retention are removed, and so is what followed from them."""
    rng, life = random.Random(seed), Life(store)
    for number in range(10):
        life.owner.apply((rng.choice(USERS), "clickstream", rng.randrange(1, 9)))
        if number % 3 == 1:
            life.judge_anew(clicks=10 + number)
        if number % 4 == 3:
            life.copy()
        life.look()
    life.copy()
    cut = sorted(life.seen)[rng.randrange(2, 9)]
    with warehouse.connect(store.settings) as database:
        warehouse.forget_changes(database, cut)
        life.store.client.delete(life.feed)
        for at, answers in life.asked().items():
            for user, past in zip(USERS, answers, strict=True):
                assert past.segment in ((life.seen[at].get(user, ""), None) if at >= cut else (None,))
        past = warehouse.read_past(database, [(user.encode(), 0) for user in USERS])
        assert all(change.at_ms >= cut for of in past.values() for change in of.changes)
    known = [past.segment for at, answers in life.asked().items() if at >= cut for past in answers]
    assert known.count(None) < len(known) / 2
