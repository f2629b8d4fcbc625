"""Two stores filled from the same topics: each gets every event, since their workers have groups of their own."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from consumers import worker
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter.settings import Settings
from segmenter.topics import store_reached_ms
from tests.loop.helpers import folded, profiles
from tests.loop.plainly import profiles_of
from tests.recovery.own_redis import OwnRedis
from tests.threads import Threads

MESSAGES = list(generate(2_000, 200, seed=1))
Until = Callable[[Callable[[], object]], None]


@contextmanager
def working(*stores: Settings) -> Iterator[None]:
    """A worker for each store, at the same time."""
    stop = threading.Event()
    with Threads() as pool, ExitStack() as at_end:
        at_end.callback(stop.set)
        running = [pool.submit(worker.run, each, False, False, lambda n: None, stop.is_set) for each in stores]
        yield
        stop.set()
        for each in running:
            each.result()


def filled(first: Settings, second: Settings, until: Until) -> None:
    """Both hold all events: those from before their workers came, and those from while both were there."""
    publish(first, MESSAGES[:1_000])
    with working(first, second):
        until(lambda: folded(first) == folded(second) == 1_000)
        publish(first, MESSAGES[1_000:])
        until(lambda: folded(first) == folded(second) == len(MESSAGES))
    assert profiles(first) == profiles(second) == profiles_of(MESSAGES)


def test_two_prefixes_on_one_redis(settings: Settings, until: Until) -> None:
    default = Settings.__dataclass_fields__["group"].default
    first = dataclasses.replace(settings, group=default)
    filled(first, dataclasses.replace(first, key_prefix=f"{first.key_prefix}2"), until)


def test_one_prefix_on_two_redises(settings: Settings, until: Until, tmp_path: Path) -> None:
    with OwnRedis(tmp_path) as redis:
        filled(settings, dataclasses.replace(settings, redis_url=redis.url), until)


@pytest.mark.parametrize("parts", ["real"], indirect=True)
def test_each_store_is_told_its_own_signs_of_life(settings: Settings, until: Until) -> None:
    """The embedded broker keeps none. They say since when a store is away."""
    publish(settings, MESSAGES[:10])
    with working(settings):
        until(lambda: store_reached_ms(settings))
    assert store_reached_ms(dataclasses.replace(settings, key_prefix="another")) is None
    assert store_reached_ms(dataclasses.replace(settings, redis_url="redis://another:6379/0")) is None
    as_somebody = settings.redis_url.rpartition("@")[2].rpartition("://")[2]
    assert store_reached_ms(dataclasses.replace(settings, redis_url=f"redis://me:secret@{as_somebody}"))
