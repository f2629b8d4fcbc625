"""A new generation, and a Redis that goes down as the worker asks for it."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from contextlib import closing

import msgspec
import pytest

from consumers import worker
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter import crash_points
from segmenter.model.generation import Generation
from segmenter.settings import Settings
from segmenter.store.connection import Redis, connect
from segmenter.store.models import publish as publish_model
from segmenter.store.models import read_model
from segmenter.store.shards import read_shards
from tests.recovery.own_redis import OwnRedis
from tests.threads import Threads

USERS = 350
Until = Callable[[Callable[[], object]], None]


@pytest.fixture
def settings(settings: Settings, redis: OwnRedis) -> Settings:
    """The parts of the other tests but for Redis, and sweeps of many commits."""
    return dataclasses.replace(settings, redis_url=redis.url, commit_rows=20)


def follow(settings: Settings) -> None:
    """Publish a generation after the current one."""
    with closing(connect(settings)) as client:
        current = read_model(client, settings)
        assert current is not None
        assert publish_model(client, settings, msgspec.structs.replace(current, number=current.number + 1), current)


def test_redis_may_go_down_as_a_sweep_is_superseded(
    settings: Settings, redis: OwnRedis, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker waits for it, and sweeps on by the newest generation."""
    publish(settings, generate(2_000, USERS, seed=1))
    worker.run(settings, once=True)
    follow(settings)
    superseded, struck, back, stop = (threading.Event() for _ in range(4))

    def supersede(point: crash_points.CrashPoint) -> None:
        if point == "sweep" and not superseded.is_set():
            follow(settings)
            superseded.set()

    def read_as_it_goes_down(client: Redis, settings: Settings) -> Generation | None:
        if not superseded.is_set() or struck.is_set():
            return read_model(client, settings)
        struck.set()
        redis.kill()
        try:
            return read_model(client, settings)
        finally:
            redis.restart()
            back.set()

    monkeypatch.setattr("consumers.trainer.trainer.read_model", read_as_it_goes_down)
    monkeypatch.setattr(crash_points, "_watchers", [supersede])

    def generations() -> tuple[int, dict[int, int]]:
        """The current one, and the one by which all users of each shard have been judged."""
        with closing(connect(settings)) as client:
            current = read_model(client, settings)
            assert current is not None
            return current.number, {number: state.generation for number, state in read_shards(client, settings).items()}

    def swept() -> bool:
        current, of_shards = generations()
        return set(of_shards.values()) == {current}

    with Threads() as pool:
        running = pool.submit(worker.run, settings, False, False, stopping=stop.is_set)
        try:
            until(lambda: running.done() or (back.is_set() and swept()))
        finally:
            print("superseded, struck, back:", superseded.is_set(), struck.is_set(), back.is_set())
            print("generation, and of each shard:", generations(), "the worker:", running.stands())
            stop.set()
        running.result()
    assert back.is_set()
