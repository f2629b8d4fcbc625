"""Shards that stay with a member through a rebalance."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from consumers import worker
from consumers.worker.membership import Membership
from segmenter.events import Event
from segmenter.settings import Settings
from segmenter.store.connection import Store, connect
from segmenter.topics import TopicGuard
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
