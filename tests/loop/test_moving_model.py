"""When the model moves: a step once everybody is judged, a refit as users double or behave otherwise, and when not."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import msgspec
import numpy as np
import pytest

from consumers.trainer.refit import refit
from consumers.trainer.trainer import Trainer
from consumers.worker.loop import Worker
from consumers.worker.owned_shard import needs_sweep, sweep
from segmenter import crash_points
from segmenter.events import Event
from segmenter.model.generation import Generation
from segmenter.settings import Settings
from segmenter.shards.row import Row
from segmenter.store.connection import Store, connect
from segmenter.store.keys import Keys
from segmenter.store.models import kept_generations, read_model
from segmenter.store.models import publish as publish_model
from tests.loop.helpers import START_MS, age_heartbeats, publish, rows
from tests.loop.population import crowd, is_swept, own, profile, put, sweep_all
from tests.threads import Threads

USERS, MINUTE = 400, 60.0
"""Enough users for a model that is not provisional, and the seconds between two tries."""

Until = Callable[[Callable[[], object]], None]


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with closing(connect(settings)) as client:
        yield Store(client, dataclasses.replace(settings, commit_rows=10))


def current(store: Store) -> Generation:
    found = read_model(*store)
    assert found is not None
    return found


def fitted(store: Store) -> Generation:
    """The model of a crowd that is judged by it."""
    put(store, crowd(range(USERS)))
    assert refit(store, 0)
    sweep_all(store)
    return current(store)


def means(store: Store) -> list[list[float]]:
    """The mean vector of each segment's users, who miss no feature or all of it."""
    by_slug: dict[str, list[tuple[int, ...]]] = {slug: [] for slug in current(store).slugs}
    for row in rows(store.settings).values():
        by_slug[row.segment].append(row.vector)
    return [np.mean(np.maximum(vectors, 0), axis=0).tolist() for vectors in by_slug.values()]


@pytest.mark.parametrize("first", [0, 1])
def test_no_step_is_taken_before_everybody_is_judged_by_one_generation(store: Store, first: int) -> None:
    """Whichever shard is swept first; then the step goes to the exact mean of each segment's users."""
    before = fitted(store)
    aside = tuple([(clicks + 200_000, *others) for clicks, *others in before.centres])
    moved = msgspec.structs.replace(before, number=2, centres=aside)
    assert publish_model(*store, moved, before)
    trainer = Trainer(store)
    trainer.refresh()

    def waits() -> bool:
        trainer.advance()
        return trainer.idle and not trainer.step_now() and current(store) == moved

    for number in (first, 1 - first):
        shard = own(store, number)
        while needs_sweep(shard, moved):
            assert waits()
            sweep(store, shard, moved)
    key = Keys(store.settings.key_prefix).shard(first)
    kept = store.client.dump(key)
    store.client.delete(key)
    assert waits(), "not all shards are known"
    store.client.restore(key, 0, kept)

    trainer.advance()
    assert (current(store).number, current(store).cause, trainer.idle) == (3, "step", True)
    assert np.array(current(store).centres) == pytest.approx(np.array(means(store)))


def test_a_refit_comes_when_users_have_doubled_and_not_before(store: Store) -> None:
    """Since the last fit: steps in between do not put it off."""
    fitted(store)
    trainer = Trainer(store)
    put(store, {user: profile(3 * clicks) for user, (clicks, *_) in crowd(range(USERS, 700)).items()})
    for _ in range(50):
        trainer.refresh()
        trainer.advance()
        assert trainer.idle
        if is_swept(store):
            break
        sweep_all(store)
    assert (current(store).cause, current(store).population) == ("step", 700)
    put(store, crowd(range(700, 799)))
    trainer.refresh()
    for _ in range(3):
        trainer.advance()
        trainer.refresh()
        sweep_all(store)
        assert trainer.idle
    put(store, crowd(range(799, 800)))
    trainer.advance()
    assert not trainer.idle
    trainer.stop()


class Watching:
    """A trainer that watches users who are active, with a clock that the test sets."""

    def __init__(self, store: Store, until: Until) -> None:
        self.now = 0.0
        self.trainer = Trainer(store, clock=lambda: self.now)
        self.trainer.refresh()
        self._until = until
        found = list(rows(store.settings).values())
        self.usual = [found[n : n + 5] for n in range(0, 100, 5)]
        self.crowded = [found[n : n + 80] for n in range(0, 200, 10)]
        self.changed = [[each._replace(vector=(0, 9_000_000, -1, -1)) for each in some] for some in self.usual]

    def watch(self, *batches: Sequence[Row]) -> None:
        for _ in range(6):
            for batch in batches:
                self.trainer.watch(batch)

    def refits(self) -> int:
        """How many refits come in the next seconds; they are waited for."""
        found = 0
        for _ in range(5):
            self.trainer.advance()
            found += not self.trainer.idle
            self._until(lambda: self.trainer.idle)
        return found


def test_users_who_fit_the_model_no_more_are_a_reason_to_refit(store: Store, until: Until) -> None:
    """The size of a batch is none. The next refit needs more drift, and comes a minute later at the earliest."""
    fitted(store)
    watching = Watching(store, until)
    watching.watch(*watching.usual)
    watching.watch(*watching.crowded)
    watching.watch(*watching.usual)
    assert watching.refits() == 0
    watching.watch(*watching.changed)
    assert watching.refits() == 1
    watching.watch(*watching.usual)
    watching.watch(*watching.changed)
    assert watching.refits() == 0
    watching.now += MINUTE
    assert watching.refits() == 1
    watching.now += MINUTE
    assert watching.refits() == 0


def test_what_was_watched_by_other_features_is_no_drift(store: Store, until: Until) -> None:
    """Of more features, distances are larger."""
    before = fitted(store)
    watching = Watching(store, until)
    watching.watch(*watching.usual)
    watching.watch(*watching.changed)
    by_others = msgspec.structs.replace(
        before, number=2, features=("total_views",), features_since=2, centres=tuple([(c[0],) for c in before.centres]),
        scale=before.scale[:1], fill=before.fill[:1],
    )  # fmt: skip
    assert publish_model(*store, by_others, before)
    watching.trainer.refresh()
    restored = msgspec.structs.replace(before, number=3, features_since=3)
    assert publish_model(*store, restored, by_others)
    watching.trainer.refresh()
    assert watching.refits() == 0


def test_a_first_fit_that_finds_no_users_is_tried_again_after_a_pause(store: Store, until: Until) -> None:
    """They are counted, but their rows are gone: somebody has to repair that first."""
    put(store, crowd(range(30)))
    age_heartbeats(store.settings)  # nobody lives who could want other features
    store.client.delete(*[Keys(store.settings.key_prefix).user(user) for user in crowd(range(30))])
    watching = Watching(store, until)
    assert watching.refits() == 1
    watching.now += MINUTE - 1
    assert watching.refits() == 0
    watching.now += 1
    watching.trainer.advance()
    assert not watching.trainer.idle
    watching.trainer.stop()


def test_a_first_fit_that_finds_users_puts_off_no_other(store: Store, until: Until) -> None:
    """Also if its model is published while the worker, which knows of none yet, looks how it has ended."""
    put(store, crowd(range(30)))
    age_heartbeats(store.settings)
    trainer = Trainer(store)
    trainer.advance()
    until(lambda: trainer.idle)
    trainer.advance()
    sweep_all(store)
    put(store, crowd(range(30, 60)))
    trainer.refresh()
    trainer.advance()
    assert not trainer.idle
    trainer.stop()


class Running:
    """A worker that looks for better models, and how often it has sent heartbeats."""

    def __init__(self, store: Store, until: Until) -> None:
        self.worker = Worker(store.settings, may_refit=True, from_log_start=False, on_progress=lambda records: None)
        self.heartbeats = 0
        self._until = until

    def note(self, point: crash_points.CrashPoint) -> None:
        self.heartbeats += point == "lag_offsets"

    def soon(self, happens: Callable[[], bool]) -> bool:
        """Whether it happens within twenty heartbeats."""
        last = self.heartbeats + 20
        self._until(lambda: happens() or self.heartbeats > last)
        return happens()


@pytest.fixture
def running(store: Store, until: Until, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """Of a crowd that is judged by its model."""
    fitted(store)
    stop, found = threading.Event(), Running(store, until)
    monkeypatch.setattr(crash_points, "_watchers", [found.note])
    with Threads() as pool:
        future = pool.submit(found.worker.run, None, stop.is_set)
        try:
            yield found
        finally:
            stop.set()
        future.result()


def test_a_running_worker_follows_what_users_do(running: Running, store: Store, until: Until) -> None:
    """A step as the least active click a little more; a refit as half of the most active turn to searching.

    No step could find these: to the nearest centre they stay with the others.
    """
    least, most = [f"u{n}" for n in range(0, USERS, 3)], [f"u{n}" for n in range(2, USERS, 3)]
    searchers, clickers = most[: len(most) // 2], most[len(most) // 2 :]

    def refitted() -> bool:
        return "refit" in {generation.cause for generation in kept_generations(*store).values()}

    def apart() -> bool:
        found = rows(store.settings)
        one, other = ({found[user.encode()].segment for user in users} for users in (searchers, clickers))
        return len(one) == len(other) == 1 and one != other

    publish(store.settings, "clickstream", [Event(user, START_MS) for user in least])
    assert running.soon(lambda: (current(store).cause, is_swept(store)) == ("step", True))
    publish(store.settings, "searches", [Event(user, START_MS) for _ in range(12) for user in searchers])
    assert running.soon(lambda: refitted() or not running.worker._trainer.idle)
    until(refitted)
    until(apart)
