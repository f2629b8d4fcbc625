"""When a worker leaves its group to join again: it has lost a shard, or the others have moved to another group."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from consumers.worker import loop
from segmenter.events import Event
from segmenter.settings import Settings
from segmenter.store.connection import Store, connect
from segmenter.store.meta import group_in_use, next_group
from segmenter.store.shards import acquire_shard, read_shards
from tests.loop.group import members
from tests.loop.helpers import START_MS, folded, publish, users_of, working

Until = Callable[[Callable[[], object]], None]


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with closing(connect(settings)) as client:
        yield Store(client, settings)


def at_work(store: Store) -> bool:
    """Whether both shards have an owner who knows the log's end."""
    return [bool(state.caught_up_ms) for state in read_shards(*store).values()] == [True, True]


@pytest.mark.parametrize("noticed_by", ["a heartbeat", "a commit"])
def test_whoever_has_lost_a_shard_leaves_the_group_and_joins_it_again(
    store: Store, until: Until, noticed_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not just take the shard back: the group may have given it to the other owner."""
    user = users_of(store.settings, 0)[0]
    publish(store.settings, "views", [Event(user, START_MS)])
    with working(store.settings) as run:
        until(lambda: at_work(store))
        (before,) = members(store.settings)
        if noticed_by == "a commit":
            monkeypatch.setattr(loop, "HEARTBEAT_SECONDS", 3_600)
            last = read_shards(*store)[0].beat_ms
            until(lambda: run.done() or read_shards(*store)[0].beat_ms > last)
        token = acquire_shard(*store, 0).token
        if noticed_by == "a commit":
            publish(store.settings, "views", [Event(user, START_MS)])
        until(lambda: run.done() or read_shards(*store)[0].token != token)
        assert members(store.settings) - {before}
        until(lambda: folded(store.settings) == 1 + (noticed_by == "a commit"))


def test_a_worker_moves_to_the_group_that_the_others_have_moved_to(store: Store, until: Until) -> None:
    """Though its own gives it no reason to."""
    publish(store.settings, "views", [Event("u1", START_MS)])
    with working(store.settings):
        until(lambda: at_work(store))
        next_group(*store, group_in_use(*store))
        until(lambda: members(store.settings))
