"""How fresh the owner of a shard says that it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from consumers import worker
from consumers.worker.membership import Membership
from segmenter.client import SegmentClient
from segmenter.errors import Unreachable
from segmenter.events import Event
from segmenter.events.sharding import shard_of
from segmenter.operations.owners import paused
from segmenter.settings import Settings
from segmenter.shards.state import ShardState
from segmenter.store.connection import Redis, Store, clock_ms, connect
from segmenter.store.shards import read_shards
from tests.loop.helpers import START_MS, folded, publish, set_clock_ahead, working

Until = Callable[[Callable[[], object]], None]

EVENTS = [Event(f"u{number}", START_MS) for number in range(40)]
SLOW_MS = 300


@pytest.fixture
def client(settings: Settings) -> Iterator[Redis]:
    with closing(connect(settings)) as opened:
        yield opened


def test_answers_that_are_slow_make_nothing_fresher(
    settings: Settings, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of the log that Kafka told is as old as the question, however long the answers take on their way.

    Each time that a worker leaves is by the clock of Redis: that of the worker is an hour ahead here.
    """
    publish(settings, "views", EVENTS)
    ask, answered = Membership.caught_up_ms, []

    def slowly(membership: Membership, asked_ms: int) -> dict[int, int]:
        found = ask(membership, asked_ms)
        answered.append(clock_ms(client))
        client.client_pause(SLOW_MS)
        return found

    began = clock_ms(client)
    with monkeypatch.context() as patched:
        patched.setattr(Membership, "caught_up_ms", slowly)
        set_clock_ahead(patched)
        worker.run(settings, once=True, may_refit=False)
    shards = read_shards(client, settings)
    assert len(shards) == settings.partitions
    for state in shards.values():
        assert began <= state.log_seen_ms == state.caught_up_ms <= answered[-1]
        assert answered[-1] < state.beat_ms <= clock_ms(client)
        assert began <= state.committed_ms <= clock_ms(client)


def test_a_run_that_is_to_end_ends_fresh(settings: Settings, client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """With Kafka's word on it: when the brokers do not say where the log ends, they are asked again."""
    publish(settings, "views", EVENTS)
    ask, silent = Membership.caught_up_ms, [True, True]

    def now_and_then(membership: Membership, asked_ms: int) -> dict[int, int] | None:
        if folded(settings) == len(EVENTS) and silent:
            silent.pop()
            raise Unreachable("Kafka is away")
        return ask(membership, asked_ms)

    monkeypatch.setattr(Membership, "caught_up_ms", now_and_then)
    worker.run(settings, once=True, may_refit=False)
    assert not silent
    committed = max(state.committed_ms for state in read_shards(client, settings).values())
    assert all(state.caught_up_ms >= committed for state in read_shards(client, settings).values())


def test_a_shard_whose_records_wait_in_the_log_is_not_fresh(settings: Settings, client: Redis, until: Until) -> None:
    """Its owner is alive, and a record behind the end of the log. The other is fresh, and so is this one later."""

    def shards() -> dict[int, ShardState]:
        return read_shards(client, settings)

    def beats_again() -> None:
        before = clock_ms(client)
        until(lambda: all(state.log_seen_ms > before for state in shards().values()))

    publish(settings, "views", EVENTS)
    with working(settings):
        until(lambda: len(shards()) == 2 and all(state.caught_up_ms for state in shards().values()))
        with paused(Store(client, settings), [0]):
            publish(settings, "views", [next(event for event in EVENTS if shard_of(event.user_id.encode(), 2) == 0)])
            published = clock_ms(client)
            beats_again()
            assert shards()[0].caught_up_ms <= published < shards()[1].caught_up_ms
            with SegmentClient(settings.redis_url, key_prefix=settings.key_prefix, stale_after_ms=86_400_000) as asked:
                answers = asked.lookup_many(event.user_id for event in EVENTS)
            ages = {shard_of(answer.user.encode(), 2): answer.age_ms for answer in answers}
            assert ages[0] is not None and ages[1] is not None and ages[0] > ages[1]
        until(lambda: shards()[0].caught_up_ms > published)
