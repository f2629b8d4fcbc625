"""No call of the Kafka client waits without end, whatever its thread does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from consumers import worker
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter import crash_points
from segmenter.errors import ClientLost
from segmenter.settings import Settings
from segmenter.store.connection import connect
from segmenter.store.shards import read_shards
from segmenter.topics import ShardConsumer, ends, ensure_topics, waits
from segmenter.topics.client import reaching
from segmenter.topics.reader import open_consumer
from segmenter.topics.waits import ClientHangs, LimitedSelector
from tests.threads import Threads

Until = Callable[[Callable[[], object]], None]


@pytest.fixture
def selector() -> Iterator[LimitedSelector]:
    """An event loop whose thread runs."""
    with closing(LimitedSelector()) as made:
        made.start()
        yield made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "WAIT_SECONDS", 0.05)
    monkeypatch.setattr(waits, "END_SECONDS", 0.05)


async def answer(number: int) -> int:
    return number


async def fail() -> None:
    raise LookupError("not there")


def test_what_ends_is_answered(selector: LimitedSelector) -> None:
    assert selector.run(answer, 7) == 7
    with pytest.raises(LookupError, match="not there"):
        selector.run(fail)


@pytest.mark.usefixtures("impatient")
def test_what_does_not_end_is_given_up(selector: LimitedSelector) -> None:
    async def never() -> None:
        await selector.sleep(3_600)

    with pytest.raises(ClientHangs, match="has not answered for"):
        selector.run(never)
    with pytest.raises(ClientHangs, match="no longer answers"):
        selector.run(answer, 7)


@pytest.mark.usefixtures("impatient")
def test_a_thread_that_is_busy_is_left_to_itself() -> None:
    """As one that tries something again without a pause would be."""
    selector, over = LimitedSelector(), threading.Event()
    selector.start()
    selector.call_soon_threadsafe(over.wait)
    try:
        with pytest.raises(ClientHangs):
            selector.run(answer, 7)
        selector.close()
    finally:
        over.set()


def test_a_thread_that_has_failed_answers_nobody(selector: LimitedSelector, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_at_once(events: object) -> None:
        raise LookupError("not there")

    monkeypatch.setattr(selector, "_process_events", fail_at_once)
    selector.wakeup()
    selector._io_thread.join()
    for ask in (selector.run, selector.call_soon_with_future):
        with pytest.raises(ClientHangs, match=r"has ended .*not there"):
            ask(answer, 7)


def test_a_client_whose_thread_hangs_is_unreachable(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each client is opened with these limits; they do not get in the way of its own."""
    ensure_topics(settings)
    assert set(ends(settings, [settings.topic_prefix + "views"]).values()) == {0}
    over = threading.Event()
    with closing(open_consumer(settings)) as consumer:
        monkeypatch.setattr(waits, "WAIT_SECONDS", 0.05)
        consumer._net.call_soon_threadsafe(over.wait)
        try:
            with pytest.raises(ClientLost, match="has not answered for"), reaching(settings):
                consumer.topics()
        finally:
            over.set()


def test_a_worker_whose_client_hangs_goes_on_with_another(
    settings: Settings, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if the client hangs in a poll, which by itself would hide that; and what hangs does not come back."""
    publish(settings, generate(100, 10, seed=1))
    joined: list[ShardConsumer] = []
    hung, over, stop = threading.Event(), threading.Event(), threading.Event()

    def join(settings: Settings, group: str) -> ShardConsumer:
        monkeypatch.setattr(waits, "WAIT_SECONDS", 60.0)
        joined.append(ShardConsumer(settings, group))
        return joined[-1]

    def hang(point: crash_points.CrashPoint) -> None:
        if point == "lag_offsets" and not hung.is_set():
            monkeypatch.setattr(waits, "WAIT_SECONDS", 0.05)
            joined[-1]._consumer._net.call_soon_threadsafe(over.wait)
            hung.set()

    def read() -> int:
        with closing(connect(settings)) as client:
            return sum(sum((state.offsets or {}).values()) for state in read_shards(client, settings).values())

    monkeypatch.setattr("consumers.worker.groups.ShardConsumer", join)
    monkeypatch.setattr(crash_points, "_watchers", [hang])
    with Threads() as pool:
        running = pool.submit(worker.run, settings, False, stopping=stop.is_set)
        try:
            until(lambda: running.done() or hung.is_set())
            publish(settings, generate(100, 10, seed=2))
            until(lambda: running.done() or read() == 200)
        finally:
            over.set()
            stop.set()
        running.result()
    assert len(joined) > 1
