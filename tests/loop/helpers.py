"""Small steps of which the tests of the loop are made."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import TypeVar

import pytest

from consumers import worker
from consumers.worker.loop import WorkerResult
from segmenter.events import Event, encode, key_of
from segmenter.events.sharding import shard_of
from segmenter.operations.integrity.verify import find_differences
from segmenter.settings import Settings
from segmenter.shards.row import Row
from segmenter.store.connection import Store, connect
from segmenter.store.keys import Keys
from segmenter.store.rows import scan_rows
from segmenter.store.shards import acquire_shard, read_shards
from segmenter.topics import ensure_topics, open_producer, produce_all
from tests.threads import Running, Threads

START_MS = 1_700_000_000_000

Result = TypeVar("Result")


def users_of(settings: Settings, part: int) -> list[str]:
    """Users of a shard."""
    return [user for user in map("u{}".format, range(100)) if shard_of(user.encode(), settings.partitions) == part]


@contextmanager
def in_background(task: Callable[[Callable[[], bool]], Result]) -> Iterator[Running[Result]]:
    """A task that goes on beside the block, and is asked to stop when the block ends, also by an error."""
    stop = threading.Event()
    with Threads() as pool:
        running = pool.submit(task, stop.is_set)
        try:
            yield running
        finally:
            stop.set()
        running.result()


@contextmanager
def working(settings: Settings) -> Iterator[Running[WorkerResult]]:
    """A worker that goes on until the block ends."""
    with in_background(lambda stop: worker.run(settings, once=False, may_refit=False, stopping=stop)) as running:
        yield running


@contextmanager
def changing_owners(settings: Settings) -> Iterator[None]:
    """Shard 0 changes owners all the time, until the block ends."""

    def contend(stopping: Callable[[], bool]) -> None:
        with closing(connect(settings)) as client:
            while not stopping():
                acquire_shard(client, settings, 0)

    with in_background(contend):
        yield


def publish(settings: Settings, topic: str, events: Iterable[Event]) -> None:
    """Put events on a topic, in their order."""
    publish_raw(settings, topic, [(key_of(event.user_id), encode(event)) for event in events])


def publish_raw(settings: Settings, topic: str, records: Iterable[tuple[bytes | None, bytes | None]]) -> None:
    """Put records on a topic as they are."""
    ensure_topics(settings)
    producer = open_producer(settings)
    produce_all(producer, settings, settings.topic_prefix + topic, records)
    producer.close()


def rows(settings: Settings) -> dict[bytes, Row]:
    """Every user's row."""
    client = connect(settings)
    found = {row.user: row for batch in scan_rows(client, settings) for row in batch}
    client.close()
    return found


def profiles(settings: Settings) -> dict[bytes, tuple[int, ...]]:
    """Every user's profile."""
    return {user: row.profile for user, row in rows(settings).items()}


def folded(settings: Settings) -> int:
    """How many events count, as the shards say."""
    with closing(connect(settings)) as client:
        return sum(state.counts.folded for state in read_shards(client, settings).values())


def counts(settings: Settings) -> dict[int, tuple[int, int]]:
    """How many events of each shard count, and how many are duplicates, as the shards say."""
    with closing(connect(settings)) as client:
        states = read_shards(client, settings)
        return {number: (state.counts.folded, state.counts.duplicates) for number, state in states.items()}


def differences(settings: Settings) -> list[str]:
    """What `segmenter verify` finds."""
    with closing(connect(settings)) as client:
        found = find_differences(Store(client, settings))
    return [str(difference) for each in found.values() for difference in each.differences]


def age_heartbeats(settings: Settings) -> None:
    """As if the last worker had ended long ago."""
    with closing(connect(settings)) as client:
        for number in read_shards(client, settings):
            client.hset(Keys(settings.key_prefix).shard(number), mapping={"beat_ms": 0, "acquired_ms": 0})


def set_clock_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this process believe that it is an hour later; the parts, and their clocks, are not concerned."""
    seconds, nanoseconds = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: seconds() + 3_600)
    monkeypatch.setattr(time, "time_ns", lambda: nanoseconds() + 3_600 * 10**9)


def remove_keys(settings: Settings) -> None:
    """Leave of this environment what an emptied Redis holds: nothing."""
    with closing(connect(settings)) as client:
        client.delete(*client.keys(f"{settings.key_prefix}:*"))
