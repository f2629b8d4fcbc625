"""Shards that stay with a member through a rebalance."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from consumers import worker
from consumers.worker.membership import Membership
from segmenter.events import Event, encode
from segmenter.settings import Settings
from segmenter.store.connection import Store, connect
from segmenter.topics import TopicGuard, open_producer, produce_all
from tests.loop.helpers import START_MS, publish

EVENTS = 30


def test_a_rebalance_does_not_cut_the_look_back_short(
    settings: Settings, until: Callable[[Callable[[], object]], None]
) -> None:
    """A shard that is still reading its duplicate window back goes on doing so, else it would forget ids."""
    publish(settings, "views", [Event("u1", START_MS, event_id=f"e{n}") for n in range(EVENTS)])
    worker.run(settings, once=True, may_refit=False)
    client = connect(settings)
    with closing(TopicGuard(settings)) as guard:
        membership = Membership(Store(client, settings), guard)

        def opened() -> bool:
            membership.follow()
            membership.acquire(None)
            membership.poll(0, 1)
            return membership.holds_all_assigned()

        until(opened)
        assert membership._consumer is not None
        membership._consumer._listener.assignments += 1
        membership.follow()
        seen: list[int] = []

        def read_back() -> bool:
            for _, records in membership.poll(100, 100):
                seen.extend(record.offset for record in records)
            return seen[-1:] == [EVENTS - 1]

        until(read_back)
        membership.leave()
    client.close()
    assert seen[0] == 0


class CountingGuard(TopicGuard):
    """Counts how often the brokers are asked for the ids of topics."""

    asked = 0

    def ids(self) -> dict[str, str]:
        self.asked += 1
        return super().ids()


@pytest.mark.parametrize("parts", ["real"], indirect=True)
def test_reading_does_not_ask_for_topics_each_time(
    settings: Settings, until: Callable[[Callable[[], object]], None]
) -> None:
    """While records come one after the other. The embedded broker is asked after each read: it lets no fetch fail."""
    publish(settings, "views", [Event("u1", START_MS)])
    worker.run(settings, once=True, may_refit=False)
    client = connect(settings)
    with closing(CountingGuard(settings)) as guard, closing(open_producer(settings)) as producer:
        membership = Membership(Store(client, settings), guard)

        def polled() -> int:
            return sum(len(records) for _, records in membership.poll(100, 100))

        def opened() -> bool:
            membership.follow()
            membership.acquire(None)
            return bool(polled())

        def trickle() -> None:
            for _ in range(EVENTS * 5):
                produce_all(producer, settings, settings.topic_prefix + "views", [(b"u1", encode(Event("u1", 1)))])

        until(opened)
        asked, reads, records = guard.asked, 0, 0
        with ThreadPoolExecutor() as pool:
            trickling = pool.submit(trickle)
            while records < EVENTS * 5:
                found = polled()
                reads, records = reads + bool(found), records + found
            trickling.result()
        assert reads > 10
        assert guard.asked - asked < reads / 2
        membership.leave()
    client.close()
