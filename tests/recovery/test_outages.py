"""A Redis that falls silent under load, and a worker that is asked to end: nothing is lost, repeated or left behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import psutil
import pytest

from consumers import worker
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter.settings import Settings
from tests.loop.group import members
from tests.loop.helpers import folded, profiles
from tests.loop.plainly import profiles_of
from tests.recovery.own_redis import OwnRedis

Until = Callable[[Callable[[], object]], None]

AHEAD, USERS = 40_000, 2_000
PAUSE_SECONDS = 60.0
MOST_BYTES = 150_000_000


class Process:
    """A worker as a process of its own, and what it logs."""

    def __init__(self, settings: Settings, environment: dict[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as errors:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "segmenter", "worker", "--no-refit"],
                env=environment | {"SEGMENTER_REDIS_URL": settings.redis_url},
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The log lines of one event."""
        lines = [line for line in self._log.read_text("utf-8").splitlines() if line.startswith("{")]
        return [entry for line in lines if (entry := json.loads(line))["event"] == event]

    def rss(self) -> int:
        """Its memory, in bytes."""
        return int(psutil.Process(self.popen.pid).memory_info().rss)


@pytest.fixture
def parted(settings: Settings, redis: OwnRedis) -> Settings:
    """The settings with a Redis that no other test uses."""
    return replace(settings, redis_url=redis.url)


@contextmanager
def working(settings: Settings, environment: dict[str, str], folder: Path) -> Iterator[Process]:
    process = Process(settings, environment, folder / "worker.log")
    try:
        yield process
    finally:
        process.popen.kill()
        process.popen.wait()


@pytest.mark.timeout(400)
def test_a_minute_without_redis(
    parted: Settings, redis: OwnRedis, environment: dict[str, str], until: Until, tmp_path: Path
) -> None:
    """Under full load, and with more events coming: the worker stays small and in its group, and goes on by itself."""
    ahead, more = list(generate(AHEAD, USERS, seed=1)), list(generate(AHEAD, USERS, seed=2))
    publish(parted, ahead)
    with working(parted, environment, tmp_path) as process:
        until(lambda: folded(parted) > 0)
        in_the_group = members(parted)
        assert len(in_the_group) == 1
        redis.pause()
        resumes, peak = time.monotonic() + PAUSE_SECONDS, 0
        waiting = iter(more)
        while (now := time.monotonic()) < resumes:
            publish(parted, islice(waiting, 500))
            peak = max(peak, process.rss())
            threading.Event().wait(min(0.9, resumes - now))
        tries = process.logged("shards released")
        opened = len(process.logged("shard acquired"))
        redis.resume()
        publish(parted, waiting)
        until(lambda: folded(parted) == len(ahead) + len(more))
        peak = max(peak, process.rss())
        assert len(process.logged("shards assigned")) == 1
        assert members(parted) == in_the_group
        assert len(process.logged("shard acquired")) == opened + parted.partitions
    assert 2 < len(tries) < PAUSE_SECONDS / 2
    assert len({entry["retry_seconds"] for entry in tries}) > len(tries) / 2  # by chance, two may be alike
    assert peak < MOST_BYTES
    assert profiles(parted) == profiles_of(ahead + more)


@pytest.mark.parametrize("moment", ["under full load", "as Redis falls silent", "while it waits for Redis"])
def test_sigterm_ends_within_five_seconds(
    moment: str, parted: Settings, redis: OwnRedis, environment: dict[str, str], until: Until, tmp_path: Path
) -> None:
    """What it had in hand is committed or untouched, its place in the group is free at once, and the next goes on."""
    messages = list(generate(AHEAD, USERS, seed=1))
    publish(parted, messages)
    with working(parted, environment, tmp_path) as process:
        until(lambda: folded(parted) > 0)
        if moment != "under full load":
            redis.pause()
        if moment == "while it waits for Redis":
            until(lambda: process.logged("shards released"))
        process.popen.send_signal(signal.SIGTERM)
        assert process.popen.wait(timeout=5) == 0
    redis.resume()
    assert members(parted) == set()
    assert folded(parted) < len(messages)
    worker.run(parted, once=True, may_refit=False)
    assert profiles(parted) == profiles_of(messages)
