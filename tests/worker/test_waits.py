"""No call of the Kafka client waits without end, whatever its thread does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from kafka.errors import KafkaTimeoutError

from segmenter.errors import Unreachable
from segmenter.settings import Settings
from segmenter.topics import ends, ensure_topics, waits
from segmenter.topics.client import reaching
from segmenter.topics.reader import open_consumer
from segmenter.topics.waits import LimitedSelector


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
def test_what_does_not_end_is_a_timeout(selector: LimitedSelector) -> None:
    async def never() -> None:
        await selector.sleep(3_600)

    with pytest.raises(KafkaTimeoutError, match="has not answered for"):
        selector.run(never)


@pytest.mark.usefixtures("impatient")
def test_a_thread_that_is_busy_is_left_to_itself() -> None:
    """As one that tries something again without a pause would be."""
    selector, over = LimitedSelector(), threading.Event()
    selector.start()
    selector.call_soon_threadsafe(over.wait)
    try:
        with pytest.raises(KafkaTimeoutError):
            selector.run(answer, 7)
        selector.close()
    finally:
        over.set()


def test_a_client_whose_thread_hangs_is_unreachable(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each client is opened with these limits; they do not get in the way of its own."""
    ensure_topics(settings)
    assert set(ends(settings, [settings.topic_prefix + "views"]).values()) == {0}
    over = threading.Event()
    with closing(open_consumer(settings)) as consumer:
        monkeypatch.setattr(waits, "WAIT_SECONDS", 0.05)
        consumer._net.call_soon_threadsafe(over.wait)
        try:
            with pytest.raises(Unreachable, match="has not answered for"), reaching(settings):
                consumer.topics()
        finally:
            over.set()
