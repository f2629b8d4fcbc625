"""Both proofs say that all is well whenever it is: under load, while the model moves, and just after a restore.

And they still name what is not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import pytest
from sqlalchemy import text

from consumers import sink, worker
from consumers.trainer.refit import rename
from producers.messages import Message
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter import warehouse
from segmenter.events.sharding import shard_of
from segmenter.operations import owners, restore, snapshot
from segmenter.operations.comparison import Reconciliation
from segmenter.operations.integrity import verify
from segmenter.operations.integrity.repair import verify_and_repair
from segmenter.operations.reconcile import reconcile
from segmenter.settings import Settings
from segmenter.shards.state import ShardState
from segmenter.store.connection import Store, connect
from segmenter.store.keys import Keys
from segmenter.store.models import read_model
from segmenter.store.shards import read_shards
from segmenter.warehouse.engine import writing
from tests.integrity.spoiling import FOLLOWING, SLUG, Spoiler
from tests.loop.helpers import START_MS, age_heartbeats, counts, differences, profiles, rows
from tests.loop.plainly import counts_of, profiles_of
from tests.threads import Threads

USERS, BUSY = 320, 100
"""The users, and those of them who have events all the time when there is load."""

FIRST = list(generate(1_200, USERS, seed=1))

Until = Callable[[Callable[[], object]], None]


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """A store that has taken in the first events, and has a model."""
    publish(settings, FIRST)
    worker.run(settings, once=True)
    age_heartbeats(settings)
    with closing(connect(settings)) as client:
        yield Store(client, settings)


def quiet(number: int) -> bytes:
    """A user without events under load."""
    return f"u{BUSY + 1 + number}".encode()


def reconciled(settings: Settings) -> Reconciliation:
    """The verdict on a snapshot that is taken now."""
    snapshot.take(settings, START_MS)
    return reconcile(settings, wait_s=60)[1]


@contextmanager
def running(store: Store, until: Until) -> Iterator[None]:
    """A worker that holds all shards, and a sink."""
    settings, stop = store.settings, threading.Event()
    with Threads() as pool:
        parts = [
            pool.submit(worker.run, settings, once=False, may_refit=False, stopping=stop.is_set),
            pool.submit(sink.run, settings, once=False, stopping=stop.is_set),
        ]
        try:
            shards = set(range(settings.partitions))
            until(lambda: owners.with_living_owner(store, shards) == shards)
            yield
        finally:
            stop.set()
        for part in parts:
            part.result()


class Meddler:
    """Sees to it that, just before rows are read, more events have come and the model has moved.

    Shards that are not paused have taken that in by then; of the others, the worker has had the time to.
    """

    def __init__(self, store: Store, until: Until) -> None:
        self._store, self._until = store, until
        self._paused: Collection[int] = ()
        self.published = list(FIRST)
        self.moved = 0

    def before(self, read: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """The same read, after more."""

        def late(*arguments: Any) -> Iterator[Any]:
            self._go_on()
            return read(*arguments)

        return late

    def around(self, read: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """The same read, after more and before yet more."""

        def within(*arguments: Any) -> Iterator[Any]:
            self._go_on()
            yield from read(*arguments)
            self._go_on()

        return within

    @contextmanager
    def paused(self, store: Store, numbers: Collection[int]) -> Iterator[None]:
        """The same as `segmenter.operations.owners.paused`, and noted."""
        with owners.paused(store, numbers):
            self._paused = numbers
            try:
                yield
            finally:
                self._paused = ()

    def _go_on(self) -> None:
        self.moved += 1
        settings = self._store.settings
        more = list(generate(200, BUSY, seed=100 + self.moved))
        publish(settings, [*more, *more[:20]])
        self.published += more
        number = rename(settings, SLUG, f"Name {self.moved}", START_MS + self.moved).number
        beats = {shard: state.beat_ms for shard, state in read_shards(*self._store).items()}
        right = counts_of(self.published, settings.partitions)

        def has_gone_on(shard: int, state: ShardState) -> bool:
            if shard in self._paused:
                return state.beat_ms > beats[shard]
            return state.generation == number and state.counts.folded == right[shard][0]

        self._until(lambda: all(has_gone_on(*each) for each in read_shards(*self._store).items()))


def test_under_load_all_is_well_and_what_is_not_is_named(
    store: Store, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker and a sink run, and between any two things that the proofs read, events come and the model moves."""
    settings, meddler = store.settings, Meddler(store, until)
    monkeypatch.setattr(verify, "paused", meddler.paused)
    monkeypatch.setattr(verify, "scan_users", meddler.before(verify.scan_users))
    monkeypatch.setattr(snapshot, "scan_rows", meddler.around(snapshot.scan_rows))
    model = read_model(*store)
    with running(store, until):
        assert differences(settings) == []
        assert reconciled(settings) == Reconciliation(USERS, 0, 0, 0, ())
        assert model and all(state.generation > model.number for state in read_shards(*store).values())
        named = Spoiler(*store, quiet(0)).unknown_audience()
        wrong = Spoiler(*store, quiet(1)).profile()
        found = differences(settings)
        assert named in found and any(line.startswith(wrong) for line in found)
        assert all(line == named or line.startswith(wrong) or quiet(1).decode() in line for line in found)
        result = reconciled(settings)
    assert (result.compared, result.differing, result.missing, result.extra) == (USERS, 1, 0, 0)
    (example,) = result.examples
    assert example.user == quiet(1) and example.fields["views"][0] == (example.fields["views"][1] or 0) + 1_000
    assert meddler.moved >= 8, "each proof read rows, and verify those of paused shards again"
    right = profiles_of(meddler.published)
    assert {user: profile for user, profile in profiles(settings).items() if profile != right[user]}.keys() == {
        quiet(1)
    }


def test_a_model_by_which_not_all_are_judged_yet_is_no_difference(store: Store) -> None:
    """No worker is there to do it. A row by a model from before the last that all were judged by is one.

    If it is one of before the first model, the census should have none of its vector, and nothing else differs.
    """
    model = rename(store.settings, SLUG, "Fans", START_MS)
    assert {row.generation for row in rows(store.settings).values()} == {model.number - 1}
    assert differences(store.settings) == []
    wrong = Spoiler(*store, quiet(0)).generation().partition(", should be")[0]
    found = differences(store.settings)
    others = [line for line in found if quiet(0).decode() not in line]
    assert any(line.startswith(wrong) for line in found) and all(": census " in line for line in others)


def take_offsets_first(settings: Settings, more: Sequence[Message]) -> None:
    """Take a snapshot between whose offsets and rows a worker has taken in ``more``."""
    snapshot.take(settings, START_MS)
    publish(settings, more)
    worker.run(settings, once=True, may_refit=False)
    snapshot.take(settings, START_MS)
    with warehouse.connect(settings) as database, writing(database) as connection:
        for table, columns in (
            ("snapshot_cuts", "topic, part, topic_id, next_pos"),
            ("snapshot_shards", "part, counts"),
        ):
            connection.execute(text(f"DELETE FROM {table} WHERE snapshot_id = 2"))
            copied = f"SELECT 2, {columns} FROM {table} WHERE snapshot_id = 1"
            connection.execute(text(f"INSERT INTO {table} (snapshot_id, {columns}) {copied}"))


@pytest.mark.parametrize("events", [1, 300])
def test_just_after_a_restore_all_is_well_and_what_is_not_is_named(store: Store, events: int) -> None:
    """Rows may hold events that their shard has not counted yet: one, or many."""
    settings, more = store.settings, list(generate(events, USERS, seed=2))
    take_offsets_first(settings, more)
    age_heartbeats(settings)
    assert restore.restore(settings, replace=True).to_come == events
    assert profiles(settings) == profiles_of([*FIRST, *more])
    assert counts(settings) == counts_of(FIRST, settings.partitions)
    sink.run(settings, once=True)
    assert differences(settings) == []
    assert reconciled(settings) == Reconciliation(USERS, 0, 0, 0, ())

    before = rows(settings)
    for number, what in enumerate(FOLLOWING):
        assert getattr(Spoiler(*store, quiet(number)), what)() in differences(settings), what
        assert verify_and_repair(settings)[1].differences == [], what
        assert rows(settings) == before, what
    counted = {shard_of(message.key, settings.partitions) for message in more}
    for other in set(range(settings.partitions)) - counted:
        user = next(user for user in before if shard_of(user, settings.partitions) == other)
        assert_counts_are_checked(store, user)

    worker.run(settings, once=True, may_refit=False)
    assert counts(settings) == counts_of([*FIRST, *more], settings.partitions)
    assert differences(settings) == []
    assert_counts_are_checked(store, quiet(0))
    spoiler = Spoiler(*store, quiet(1))
    spoiler.profile()
    result = reconciled(settings)
    assert [example.user for example in result.examples] == [quiet(1)]


def assert_counts_are_checked(store: Store, user: bytes) -> None:
    """Wrong ones of the user's shard are named; they are as before in the end."""
    shard = Keys(store.settings.key_prefix).shard(shard_of(user, store.settings.partitions))
    right = store.client.hget(shard, "counts")
    wrong = Spoiler(*store, user).counts()
    assert [line.startswith(wrong) for line in differences(store.settings)] == [True]
    store.client.hset(shard, "counts", right)
