"""What a member holds, and how it lives through rebalances."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from consumers import worker
from consumers.worker import membership
from consumers.worker.acquire import acquire
from consumers.worker.membership import Membership
from consumers.worker.owned_shard import OwnedShard
from segmenter.errors import OwnershipLost, Unreachable
from segmenter.events import Event, encode
from segmenter.settings import Settings
from segmenter.shards.state import Commit
from segmenter.store.connection import Store, connect
from segmenter.store.meta import group_in_use
from segmenter.store.shards import acquire_shard, commit_shard
from segmenter.topics import TopicGuard, open_producer, produce_all
from tests.loop.helpers import START_MS, publish, users_of
from tests.threads import Threads

EVENTS = 30

Turning = Callable[[Callable[[], object]], None]


@pytest.fixture
def holding(settings: Settings) -> Iterator[Membership]:
    """A member that has not joined yet; topics are there."""
    publish(settings, "views", [Event("u1", START_MS)])
    with closing(connect(settings)) as client, closing(TopicGuard(settings)) as guard:
        holding = Membership(Store(client, settings), guard, settings)
        yield holding
        holding.leave()


def opened(holding: Membership) -> bool:
    """Do what a worker does in a turn; whether the shards are open then."""
    holding.follow()
    holding.acquire(None)
    holding.poll(100, 1)
    return holding.holds_all_assigned()


def test_a_rebalance_does_not_cut_the_look_back_short(settings: Settings, turning: Turning) -> None:
    """A shard that is still reading its duplicate window back goes on doing so, else it would forget ids."""
    publish(settings, "views", [Event("u1", START_MS, event_id=f"e{n}") for n in range(EVENTS)])
    worker.run(settings, once=True, may_refit=False)
    client = connect(settings)
    with closing(TopicGuard(settings)) as guard:
        holding = Membership(Store(client, settings), guard, settings)

        def opened() -> bool:
            holding.follow()
            holding.acquire(None)
            holding.poll(0, 1)
            return holding.holds_all_assigned()

        turning(opened)
        assert holding._consumer is not None
        holding._consumer._listener.assignments += 1
        holding.follow()
        seen: list[int] = []

        def read_back() -> bool:
            for _, records in holding.poll(100, 100):
                seen.extend(record.offset for record in records)
            return seen[-1:] == [EVENTS - 1]

        turning(read_back)
        holding.leave()
    client.close()
    assert seen[0] == 0


def test_a_second_slow_rebalance_leaves_the_group_as_it_is(
    settings: Settings, holding: Membership, turning: Turning
) -> None:
    """Only two in a row, with no shards assigned between, make the workers move to another group."""

    def group_after_a_stuck_rebalance() -> str:
        holding.follow()
        assert holding._consumer is not None
        holding._consumer._listener.rebalancing_since = time.monotonic() - 60
        with pytest.raises(OwnershipLost, match="rebalancing without end") as reason:
            holding.follow()
        holding.rejoin(reason.value)
        with closing(connect(settings)) as client:
            return group_in_use(client, settings)

    with closing(connect(settings)) as client:
        first = group_in_use(client, settings)
    for _ in range(2):
        turning(lambda: opened(holding))
        assert group_after_a_stuck_rebalance() == first
    assert group_after_a_stuck_rebalance() == f"{first}.1"
    turning(lambda: opened(holding))
    assert group_after_a_stuck_rebalance() == f"{first}.1"


def test_while_kafka_is_away_no_rebalance_moves_the_workers(
    settings: Settings, holding: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That it does not end has another reason then, which is told; those who can reach it stay where they are."""

    def away(guard: TopicGuard) -> dict[str, str]:
        raise Unreachable("Kafka is away")

    with closing(connect(settings)) as client:
        first = group_in_use(client, settings)
        for error in (OwnershipLost, Unreachable):
            holding.follow()
            assert holding._consumer is not None
            holding._consumer._listener.rebalancing_since = time.monotonic() - 60
            with monkeypatch.context() as patched, pytest.raises(error) as reason:
                if error is Unreachable:
                    patched.setattr(TopicGuard, "ids", away)
                holding.follow()
            holding._consumer._listener.rebalancing_since = None
            holding.rejoin(reason.value)
        assert group_in_use(client, settings) == first


def test_a_shard_that_moves_on_as_it_is_handed_over_is_acquired(
    settings: Settings, holding: Membership, turning: Turning, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its former owner commits records that were not in the log when the new one began; no end is missing there."""
    worker.run(settings, once=True, may_refit=False)
    user, moved = users_of(settings, 0)[0], list[int]()

    def as_the_former_owner_goes_on(store: Store, number: int, *others: Any) -> OwnedShard:
        if number == 0 and not moved:
            publish(settings, "views", [Event(user, START_MS)])
            former = acquire_shard(*store, number)
            assert former.offsets is not None
            moved.append(former.offsets["views"] + 1)
            after = former._replace(offsets={**former.offsets, "views": moved[0]})
            assert commit_shard(*store, number, former, Commit([], [], after), "")[0] == "ok"
        return acquire(store, number, *others)

    monkeypatch.setattr(membership, "acquire", as_the_former_owner_goes_on)
    turning(lambda: opened(holding))
    assert [holding.shards[0].offsets["views"]] == moved


def test_positions_prove_nothing_while_shards_are_handed_out(holding: Membership, turning: Turning) -> None:
    """The client may have taken them from Kafka's own offsets, so there are none until the member has looked again."""
    turning(lambda: opened(holding))
    assert holding._consumer is not None and holding.positions().keys() == {0, 1}
    holding._consumer._listener.assignments += 1
    assert holding.positions() == {} and not holding.holds_all_assigned()
    holding.follow()
    assert holding.positions().keys() == {0, 1} and holding.holds_all_assigned()


@pytest.mark.parametrize("what", ["is renewed", "outlives a rebalance"])
def test_a_pause_goes_on(settings: Settings, holding: Membership, turning: Turning, what: str) -> None:
    """No record of the shard is polled until it is over; of the others all are."""
    turning(lambda: opened(holding))
    users = {part: users_of(settings, part)[0] for part in range(2)}
    polled: set[int] = set()

    def poll() -> set[int]:
        holding.follow()
        holding.resume_due()
        polled.update(shard.number for shard, _ in holding.poll(100, 100))
        return polled

    first_ends = time.monotonic() + 0.05
    holding.pause(holding.shards[0], 0.05 if what == "is renewed" else 60)
    if what == "is renewed":
        holding.pause(holding.shards[0], 60)
        turning(lambda: time.monotonic() > first_ends)
    else:
        assert holding._consumer is not None
        holding._consumer._listener.on_partitions_assigned(sorted(holding._consumer._listener.assigned))
    assert poll() == set()
    publish(settings, "searches", [Event(users[number], START_MS) for number in (0, 1)])
    turning(lambda: poll() == {1})
    assert poll() == {1}
    holding.pause(holding.shards[0], 0)
    turning(lambda: poll() == {0, 1})


class CountingGuard(TopicGuard):
    """Counts how often the brokers are asked for the ids of topics."""

    asked = 0

    def ids(self) -> dict[str, str]:
        self.asked += 1
        return super().ids()


@pytest.mark.parametrize("parts", ["real"], indirect=True)
def test_reading_does_not_ask_for_topics_each_time(settings: Settings, turning: Turning) -> None:
    """While records come one after the other. The embedded broker is asked after each read: it lets no fetch fail."""
    publish(settings, "views", [Event("u1", START_MS)])
    worker.run(settings, once=True, may_refit=False)
    client = connect(settings)
    with closing(CountingGuard(settings)) as guard, closing(open_producer(settings)) as producer:
        reading = Membership(Store(client, settings), guard, settings)

        def polled() -> int:
            return sum(len(records) for _, records in reading.poll(100, 100))

        def opened() -> bool:
            reading.follow()
            reading.acquire(None)
            return bool(polled())

        def trickle() -> None:
            for _ in range(EVENTS * 5):
                produce_all(producer, settings, settings.topic_prefix + "views", [(b"u1", encode(Event("u1", 1)))])

        turning(opened)
        asked, reads, records = guard.asked, 0, 0
        with Threads() as pool:
            trickling = pool.submit(trickle)
            while records < EVENTS * 5:
                found = polled()
                reads, records = reads + bool(found), records + found
            trickling.result()
        assert reads > 10
        assert guard.asked - asked < reads / 2
        reading.leave()
    client.close()
