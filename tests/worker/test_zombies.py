"""Workers that are stopped, killed, sent away and newly come, while events flow: none is lost, none counts twice."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from producers.messages import Message
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter.operations.status import read_status
from segmenter.settings import Settings
from segmenter.store.connection import connect
from segmenter.store.shards import read_shards
from tests.loop.helpers import folded, profiles
from tests.loop.plainly import profiles_of
from tests.threads import Threads

USERS = 1_000
PATIENCE_SECONDS = 150
"""The embedded broker can lose a group: workers leave it only after two tries of 15 s."""


class Member:
    """A worker as a process, and what it has logged."""

    def __init__(self, log: Path, environment: Mapping[str, str]) -> None:
        self._log = log
        line = [sys.executable, "-m", "segmenter", "worker", "--no-refit"]
        with log.open("wb") as out:
            self.process = subprocess.Popen(line, env=dict(environment), stderr=out)

    def said(self) -> str:
        return self._log.read_text("utf-8")


@pytest.fixture
def join(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[[], Member]]:
    """Let another worker join; those that still run at the end are killed."""
    with ExitStack() as at_end:
        numbers = itertools.count(1)

        def joined() -> Member:
            member = Member(tmp_path / f"worker{next(numbers)}.log", environment)
            at_end.callback(member.process.wait)
            at_end.callback(member.process.kill)
            return member

        yield joined


class Flow:
    """Events that keep coming, a hundred at a time."""

    def __init__(self, settings: Settings) -> None:
        self.messages: list[Message] = []
        self._settings = settings
        self._stop = threading.Event()

    @contextmanager
    def flowing(self) -> Iterator[None]:
        with Threads() as pool:
            publishing = pool.submit(self._publish)
            try:
                yield
            finally:
                self._stop.set()
            publishing.result()

    def _publish(self) -> None:
        for seed in itertools.count(100):
            batch = list(generate(100, USERS, seed=seed))
            publish(self._settings, batch)
            self.messages += batch
            if self._stop.wait(0.1):
                return


def wait(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        threading.Event().wait(0.1)


def owners(settings: Settings) -> dict[int, str]:
    """The random token of each shard's present owner."""
    with closing(connect(settings)) as client:
        return {number: state.token for number, state in read_shards(client, settings).items()}


@pytest.mark.timeout(500)
def test_a_worker_that_slept_beyond_its_session_is_fenced_and_comes_back(
    settings: Settings, join: Callable[[], Member]
) -> None:
    """Stopped in the middle of its work until another has all its shards; what it still wants to write is refused."""
    ahead = list(generate(40_000, USERS, seed=1))
    publish(settings, ahead)
    first = join()
    wait(lambda: folded(settings) > 0, "the first commit")
    first.process.send_signal(signal.SIGSTOP)
    asleep, before = owners(settings), folded(settings)
    assert before < len(ahead)
    flow = Flow(settings)
    with flow.flowing():
        second = join()
        wait(lambda: not set(asleep.values()) & set(owners(settings).values()), "the second worker to own the shards")
        wait(lambda: folded(settings) > before, "the second worker to go on")
        fenced = read_status(settings).fenced
        first.process.send_signal(signal.SIGCONT)
        wait(lambda: "joining the group again" in first.said(), "the first worker to be fenced")
        wait(lambda: read_status(settings).fenced > fenced, "the refused write to be counted")
        wait(
            lambda: "shard acquired" in first.said().rpartition("joining the group again")[2],
            "the first worker to hold a shard again",
        )
        assert first.process.poll() is None and second.process.poll() is None
    expected = ahead + flow.messages
    wait(lambda: folded(settings) >= len(expected), "all events")
    assert folded(settings) == len(expected)
    assert profiles(settings) == profiles_of(expected)


@pytest.mark.timeout(600)
def test_workers_that_come_and_go_lose_and_repeat_nothing(settings: Settings, join: Callable[[], Member]) -> None:
    """Three share the shards; then one is sent away, one is killed, and others come, one after the other."""
    flow = Flow(settings)

    def moved_on() -> None:
        """Until every shard has committed something that was not there just now."""
        published = len(flow.messages)
        wait(lambda: len(flow.messages) > published and folded(settings) >= published, "the workers to catch up")

    with flow.flowing():
        members = [join(), join(), join()]
        wait(lambda: sum("shard acquired" in member.said() for member in members) >= 2, "two workers to hold shards")
        for strike in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
            moved_on()
            members.append(join())
            leaving = members.pop(0)
            wait(lambda: "shards assigned" in leaving.said(), "the one that leaves to have joined")  # noqa: B023
            leaving.process.send_signal(strike)
            # 143: the broker was too busy to let it go in time
            assert leaving.process.wait(30) in ((0, 143) if strike == signal.SIGTERM else (-signal.SIGKILL,))
        moved_on()
    wait(lambda: folded(settings) >= len(flow.messages), "all events")
    assert folded(settings) == len(flow.messages)
    assert profiles(settings) == profiles_of(flow.messages)
