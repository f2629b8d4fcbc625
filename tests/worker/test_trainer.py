"""Who looks for a better model: the owner of shard 0, if it may, whatever is wrong with other shards."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from consumers.worker import loop
from consumers.worker.loop import Worker
from segmenter import crash_points
from segmenter.events import Event
from segmenter.settings import Settings
from segmenter.shards.state import ShardState
from segmenter.store.connection import Store, connect
from segmenter.store.keys import Keys
from segmenter.store.models import read_model
from segmenter.store.shards import read_stored_shards
from tests.loop.helpers import START_MS, in_background, publish, users_of
from tests.loop.population import crowd, put

Until = Callable[[Callable[[], object]], None]


@pytest.fixture
def store(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Of workers whose heart beats fast."""
    monkeypatch.setattr(loop, "HEARTBEAT_SECONDS", 0.02)
    with closing(connect(settings)) as client:
        yield Store(client, settings)


def worker(store: Store, may_refit: bool) -> Worker:
    return Worker(store.settings, may_refit, from_log_start=False, on_progress=lambda records: None)


def test_a_worker_that_may_not_refit_leaves_the_model_as_it_is(
    store: Store, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many users wait for their first segments."""
    put(store, crowd(range(90)))
    beats: list[crash_points.CrashPoint] = []
    monkeypatch.setattr(crash_points, "_watchers", [beats.append])
    forbidden = worker(store, may_refit=False)
    with in_background(lambda stopping: forbidden.run(None, stopping)) as run:
        until(lambda: run.done() or beats.count("lag_offsets") > 5)
        assert forbidden._trainer.idle and forbidden._trainer._child is None
    assert read_model(*store) is None


def stored(store: Store, number: int) -> ShardState:
    return read_stored_shards(*store)[number].state


@pytest.mark.parametrize("spoilt", [0, 1])
def test_a_corrupt_shard_does_not_end_who_looks_for_a_better_model(
    store: Store, until: Until, monkeypatch: pytest.MonkeyPatch, spoilt: int
) -> None:
    """The healthy shard goes on. Nobody looks who does not own shard 0, nor remembers what drifted when it did."""
    put(store, crowd(range(90)))
    store.client.hset(Keys(store.settings.key_prefix).shard(spoilt), "counts", "[]")
    trainer, healthy = worker(store, may_refit=True), 1 - spoilt
    before, looked, advance = stored(store, healthy).counts.folded, list[bool](), trainer._trainer.advance

    def look() -> None:
        looked.append(True)
        advance()

    monkeypatch.setattr(trainer._trainer, "advance", look)
    with in_background(lambda stopping: trainer.run(None, stopping)) as run:
        until(lambda: run.done() or trainer._membership.parked.keys() == {spoilt})
        publish(store.settings, "views", [Event(users_of(store.settings, healthy)[0], START_MS)])
        until(lambda: run.done() or stored(store, healthy).counts.folded == before + 1)
        beat, trainer._trainer._drifted = stored(store, healthy).beat_ms, True
        until(lambda: run.done() or stored(store, healthy).beat_ms > beat)
        assert not run.done() and stored(store, healthy).counts.folded == before + 1
    assert bool(looked) is trainer._trainer._drifted is (healthy == 0) and read_model(*store) is None


def slowly(settings: Settings) -> None:
    """A refit that takes longer than a worker may take to end."""
    threading.Event().wait(20)


def test_a_refit_ends_with_the_worker_that_began_it(
    store: Store, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However far it is: a worker that is to end does not wait for it, and leaves no process behind."""
    put(store, crowd(range(90)))
    monkeypatch.setattr("consumers.trainer.trainer.refit_process", slowly)
    fitting = worker(store, may_refit=True)
    with in_background(lambda stopping: fitting.run(None, stopping)) as run:
        until(lambda: run.done() or not fitting._trainer.idle)
        child = fitting._trainer._child
        assert child is not None
    assert child.exitcode == -signal.SIGTERM
