"""A worker that has lost Redis for a moment goes on where it stopped: it reads nothing again that it remembers."""

from __future__ import annotations

import dataclasses
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from consumers.worker.loop import Worker
from consumers.worker.owned_shard import OwnedShard
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter.events import Record
from segmenter.settings import Settings
from tests.loop.helpers import folded, profiles
from tests.loop.plainly import profiles_of
from tests.recovery.own_redis import OwnRedis
from tests.threads import Threads

Until = Callable[[Callable[[], object]], None]
BEFORE, AFTER = list(generate(2_000, 200, seed=1)), list(generate(300, 200, seed=2))


@pytest.fixture
def settings(settings: Settings, redis: OwnRedis) -> Settings:
    return dataclasses.replace(settings, redis_url=redis.url, commit_rows=50)


class Watched:
    """A worker on a thread: how many records it has polled, and which shards it has acquired, one after the other."""

    def __init__(self, settings: Settings) -> None:
        self.polled = 0
        self.acquired: list[int] = []
        self.worker = Worker(settings, may_refit=False, from_log_start=False, on_progress=lambda records: None)
        membership = self.worker._membership
        poll, start = membership.poll, membership._start

        def counting(timeout_ms: int, max_records: int) -> list[tuple[OwnedShard, list[Record]]]:
            found = poll(timeout_ms, max_records)
            self.polled += sum(len(records) for _, records in found)
            return found

        def noting(consumer: object, shard: OwnedShard) -> None:
            self.acquired.append(shard.number)
            start(consumer, shard)  # type: ignore[arg-type]

        membership.poll, membership._start = counting, noting  # type: ignore[method-assign]


@contextmanager
def working(settings: Settings) -> Iterator[Watched]:
    stop = threading.Event()
    watched = Watched(settings)
    with Threads() as pool:
        running = pool.submit(watched.worker.run, None, stop.is_set)
        try:
            yield watched
        finally:
            stop.set()
        running.result()


def test_a_stall_costs_no_reading(settings: Settings, redis: OwnRedis, until: Until) -> None:
    """Each record is polled once, and a repeat of what came before the stall is still known as one."""
    publish(settings, BEFORE)
    with working(settings) as watched:
        until(lambda: folded(settings) == len(BEFORE))
        redis.pause()
        until(lambda: watched.worker._membership.failures > 0)
        redis.resume()
        until(lambda: len(watched.acquired) >= 2 * settings.partitions)
        publish(settings, [*BEFORE[-200:], *AFTER])
        until(lambda: folded(settings) == len(BEFORE) + len(AFTER))
        assert watched.polled == len(BEFORE) + 200 + len(AFTER)
    assert profiles(settings) == profiles_of(BEFORE + AFTER)


def test_after_lost_writes_the_window_is_read_again(settings: Settings, redis: OwnRedis, until: Until) -> None:
    """What is remembered is ahead of such a Redis: with it, events would count as duplicates of themselves."""
    publish(settings, BEFORE)
    with working(settings) as watched:
        until(lambda: folded(settings) == len(BEFORE))
        redis.kill()
        redis.cut_commits(random.Random(1), 8)
        redis.restart()
        until(lambda: folded(settings) == len(BEFORE))
        publish(settings, [*BEFORE[-200:], *AFTER])
        until(lambda: folded(settings) == len(BEFORE) + len(AFTER))
        assert watched.polled > len(BEFORE) + 200 + len(AFTER)
    assert profiles(settings) == profiles_of(BEFORE + AFTER)
