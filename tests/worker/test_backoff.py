"""How long worker and sink wait after a failure: longer after each one in a row, and each at another moment."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from consumers import sink
from consumers.backoff import LONGEST_SECONDS, backoff_seconds
from consumers.worker import heartbeat, loop, membership
from consumers.worker.loop import GIVE_UP_AFTER, Worker
from consumers.worker.membership import Membership
from segmenter import topics
from segmenter.errors import RolledBack, Unreachable
from segmenter.events import Event, shard_of
from segmenter.settings import Settings
from segmenter.store.connection import Store, connect
from segmenter.store.keys import Keys
from segmenter.store.shards import read_shards
from segmenter.topics import TopicGuard, ends, event_topics
from tests.loop.helpers import START_MS, in_background, publish

Until = Callable[[Callable[[], object]], None]


def test_a_wait_is_anything_up_to_a_bound_that_doubles_and_ends() -> None:
    """Many who fail at once try again spread over all of it."""
    random.seed(1)
    for failures, bound in enumerate((0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0), 1):
        waits = [backoff_seconds(failures) for _ in range(1_000)]
        assert 0 <= min(waits) < bound / 50 and bound * 0.98 < max(waits) <= bound <= LONGEST_SECONDS
        assert abs(sum(waits) / len(waits) - bound / 2) < bound / 20
        assert len(set(waits)) > 900


def test_a_wait_stays_bounded() -> None:
    """However often something failed."""
    assert all(0 <= backoff_seconds(failures) <= LONGEST_SECONDS for failures in (1, 10, 100_000))


class Waits:
    """Takes the place of the random waits: each is of so many seconds, and it is noted after how many failures."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.failures: list[int] = []

    def __call__(self, failures: int) -> float:
        self.failures.append(failures)
        return self._seconds


@pytest.fixture
def member(settings: Settings) -> Iterator[Membership]:
    topics.ensure_topics(settings)
    with closing(connect(settings)) as client, closing(TopicGuard(settings)) as guard:
        made = Membership(Store(client, settings), guard, settings)
        yield made
        made.leave()


def test_a_worker_waits_before_it_acquires_its_shards_again(
    member: Membership, turning: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It acquires none before the wait is over, and waits longer the next time."""

    def acquires() -> bool:
        member.follow()
        member.acquire(None)
        member.poll(10, 1)
        return len(member.shards) == 2

    turning(acquires)
    monkeypatch.setattr(membership, "backoff_seconds", waits := Waits(3_600))
    member.release_all(RolledBack("once"))
    assert not any(acquires() for _ in range(20)) and not member.shards
    member.release_all(RolledBack("again"))
    assert member.backing_off() and waits.failures == [1, 2]


def test_a_sink_waits_before_it_tries_again(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer after each failure in a row; one after it has loaded something is the first again."""
    publish(settings, "views", [Event("u1", START_MS)])
    monkeypatch.setattr(sink, "backoff_seconds", waits := Waits(0))
    reachable = iter([False, False, False, True, False, False, True])
    ids_of, loaded = topics.topic_ids, 0

    def now_and_then(settings: Settings) -> dict[str, str]:
        if not next(reachable):
            raise Unreachable("Kafka is away")
        return ids_of(settings)

    def load(records: int) -> None:
        nonlocal loaded
        loaded += records
        if loaded == 1:
            publish(settings, "views", [Event("u1", START_MS + 1)])
            raise Unreachable("Kafka is away")

    monkeypatch.setattr(topics, "topic_ids", now_and_then)
    sink.run(settings, False, load, lambda: loaded == 2)
    assert waits.failures == [1, 2, 3, 1, 2, 3]


def test_a_sink_that_waits_tries_nothing_and_can_be_stopped(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries, asked = 0, 0

    def away(settings: Settings) -> dict[str, str]:
        nonlocal tries
        tries += 1
        raise Unreachable("Kafka is away")

    def stopping() -> bool:
        nonlocal asked
        asked += 1
        return asked > 5

    topics.ensure_topics(settings)
    monkeypatch.setattr(sink, "backoff_seconds", Waits(3_600))
    monkeypatch.setattr(topics, "topic_ids", away)
    sink.run(settings, False, stopping=stopping)
    assert tries == 1


def test_a_sink_that_is_to_end_does_not_wait_for_a_part_that_is_away(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has started it is told at once."""
    tries = 0

    def away(settings: Settings) -> dict[str, str]:
        nonlocal tries
        tries += 1
        raise Unreachable("Kafka is away")

    topics.ensure_topics(settings)
    monkeypatch.setattr(topics, "topic_ids", away)
    with pytest.raises(Unreachable, match="Kafka is away"):
        sink.run(settings, once=True, stopping=lambda: tries == 2)
    assert tries == 1


def ending_run(settings: Settings) -> tuple[Worker, dict[tuple[str, int], int]]:
    """A worker, and a goal that is one event ahead of the log."""
    publish(settings, "views", [Event("u1", START_MS)])
    goal = ends(settings, event_topics(settings))
    goal[f"{settings.topic_prefix}views", shard_of(b"u1", settings.partitions)] += 1
    return Worker(settings, False, False, lambda records: None), goal


def test_failures_that_are_overcome_are_forgotten(
    settings: Settings, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is to end goes on after more failures than it would bear in a row."""
    monkeypatch.setattr(loop, "HEARTBEAT_SECONDS", 0.02)
    monkeypatch.setattr(membership, "backoff_seconds", waits := Waits(0))
    worker, goal = ending_run(settings)
    with in_background(lambda stopping: worker.run(goal, stopping)) as run, closing(connect(settings)) as client:

        def beat_ms() -> int:
            states = read_shards(client, settings)
            return states[0].beat_ms if 0 in states else 0

        before = 0
        for _ in range(GIVE_UP_AFTER + 4):
            until(lambda before=before: run.done() or beat_ms() > before)  # type: ignore[misc]
            client.hincrby(Keys(settings.key_prefix).shard(0), "begun", 1)
            before = beat_ms()
        publish(settings, "views", [Event("u1", START_MS + 1)])
        until(run.done)
        assert run.result().records == 2
    assert len(waits.failures) >= GIVE_UP_AFTER + 4 and max(waits.failures) < GIVE_UP_AFTER


def test_a_run_that_is_to_end_gives_up_when_all_fail(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has acquired its shards each time, and could not work."""
    monkeypatch.setattr(loop, "HEARTBEAT_SECONDS", 0.02)
    monkeypatch.setattr(membership, "backoff_seconds", waits := Waits(0))
    monkeypatch.setattr(
        heartbeat, "heartbeat", lambda client, settings, shards, *others: dict.fromkeys(shards, "rolled back")
    )
    worker, goal = ending_run(settings)
    with pytest.raises(RolledBack):
        worker.run(goal, lambda: len(waits.failures) > 2 * GIVE_UP_AFTER)
    assert waits.failures == list(range(1, GIVE_UP_AFTER + 1))
