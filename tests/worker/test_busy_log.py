"""Who keeps up with a log that never stands still is fresh, although never at its very end."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from consumers import sink, worker
from consumers.worker import loop
from segmenter import crash_points, warehouse
from segmenter.events import Event, encode, key_of
from segmenter.settings import Settings
from segmenter.store.connection import clock_ms, connect
from segmenter.store.shards import read_shards
from segmenter.topics import ensure_topics, open_producer, produce_all
from tests.loop.helpers import START_MS

MOST = 20
"""Records are read so many times at most."""


READ_AT_ONCE = [1, 20_000]
"""Who reads one record at a time falls behind the log, ever further; all that it held at some moment is read later."""


@pytest.fixture
def small(settings: Settings) -> Settings:
    return dataclasses.replace(settings, partitions=1)


@pytest.fixture
def log(small: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """A log that grows by two records each time that some have been read, before these are dealt with.

    The list holds the time, by Redis' clock, at which each record was there.
    """
    ensure_topics(small)
    times: list[int] = []
    with closing(connect(small)) as client, closing(open_producer(small)) as producer:

        def grow(point: str) -> None:
            if point in ("poll", "fetch"):
                for _ in range(2):
                    event = Event("u1", START_MS, f"e{len(times)}")
                    produce_all(producer, small, f"{small.topic_prefix}views", [(key_of("u1"), encode(event))])
                    times.append(clock_ms(client))

        monkeypatch.setattr(crash_points, "_watchers", [grow])
        grow("poll")
        yield times


def enough(condition: Callable[[], object], log: list[int]) -> Callable[[], bool]:
    return lambda: bool(condition()) or len(log) > 2 * MOST


@pytest.mark.parametrize("at_once", READ_AT_ONCE)
def test_a_worker_that_keeps_up_is_fresh_however_busy_the_log_is(
    small: Settings, log: list[int], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no fresher than it is: a moment later the log held the first record that the shard lacks."""
    monkeypatch.setattr(loop, "POLL_RECORDS", at_once)
    monkeypatch.setattr(loop, "HEARTBEAT_SECONDS", 0.0)
    with closing(connect(small)) as client:

        def fresh_twice() -> bool:
            seen.update(state.caught_up_ms for state in read_shards(client, small).values())
            return len(seen - {0}) > 1

        seen = set[int]()
        worker.run(small, once=False, may_refit=False, stopping=enough(fresh_twice, log))
        state = read_shards(client, small)[0]
    assert state.offsets is not None and 0 < state.offsets["views"] < len(log)
    assert 0 < state.caught_up_ms <= log[state.offsets["views"]]


def test_a_sink_that_keeps_up_is_fresh_however_busy_the_log_is(
    small: Settings, log: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink, "HEARTBEAT_SECONDS", 0.0)
    with warehouse.connect(small) as database:
        warehouse.migrate(database, 0)
        found = (warehouse.read_sink_heartbeat(database).age_ms for _ in itertools.count())
        sink.run(small, once=False, stopping=enough(lambda: next(found) is not None, log))
        loaded = sum(at.next_pos for at in warehouse.loaded(database).values())
        assert next(found) is not None and loaded < len(log)
