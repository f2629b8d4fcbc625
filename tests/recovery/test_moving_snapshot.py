"""Snapshots of a store that loses writes, or whose shards change owners, while they are taken."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import closing

import pytest

from consumers import worker
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter import warehouse
from segmenter.errors import Fenced, UsageError
from segmenter.operations import snapshot
from segmenter.settings import Settings
from segmenter.shards.row import Row
from segmenter.shards.state import Commit
from segmenter.store.connection import Redis, Store, connect
from segmenter.store.rows import scan_rows
from segmenter.store.shards import commit_shard, read_shards
from tests.loop.helpers import START_MS, changing_owners
from tests.recovery.own_redis import OwnRedis

USERS = 350
BEFORE, SINCE = (list(generate(2_000, USERS, seed=seed)) for seed in (1, 2))


@pytest.fixture
def settings(settings: Settings, redis: OwnRedis) -> Settings:
    """The parts of the other tests, but for Redis."""
    return dataclasses.replace(settings, redis_url=redis.url)


@pytest.mark.parametrize("caught_up", [False, True])
def test_rows_of_a_redis_that_went_back_are_no_snapshot(settings: Settings, redis: OwnRedis, caught_up: bool) -> None:
    """They lack what is below the offsets that were read first; whether or not a worker has read it again meanwhile."""
    publish(settings, BEFORE)
    worker.run(settings, once=True)
    redis.copy()
    publish(settings, SINCE)
    worker.run(settings, once=True)
    with closing(connect(settings)) as client:
        begun = read_shards(client, settings)
        copied = snapshot.user_rows(Store(client, settings), begun, snapshot.shard_cuts(begun, settings))
        redis.kill()
        redis.put_back()
        redis.restart()
        assert next(copied)
        if caught_up:
            worker.run(settings, once=True)
        with pytest.raises(Fenced, match="lost writes or changed owners"):
            list(copied)
    assert snapshot.take(settings, START_MS).users == USERS


def test_while_shards_change_hands_none_is_taken(settings: Settings) -> None:
    """It is tried a few times, and leaves nothing behind."""
    publish(settings, BEFORE)
    worker.run(settings, once=True)
    with changing_owners(settings), pytest.raises(Fenced, match="when workers are steady"):
        snapshot.take(settings, START_MS)
    with warehouse.connect(settings) as database, pytest.raises(UsageError, match="no snapshot yet"):
        warehouse.find_snapshot(database)
    assert snapshot.take(settings, START_MS).snapshot_id == 1


def test_a_copy_of_a_shard_that_has_lost_writes_is_thrown_away_and_made_again(
    settings: Settings, redis: OwnRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when its owner is still the same, since it has not noticed yet: the snapshot has the offsets of the rows."""
    publish(settings, BEFORE[:200])
    worker.run(settings, once=True, may_refit=False)
    copies = 0
    with closing(connect(settings)) as client:
        held = read_shards(client, settings)
        redis.copy()
        for number, state in held.items():
            ahead = {topic: offset + 5 for topic, offset in (state.offsets or {}).items()}
            commit = Commit([], [], state._replace(offsets=ahead))
            assert commit_shard(client, settings, number, state, commit, "")[0] == "ok"

    def scan_as_it_goes_back(client: Redis, settings: Settings) -> Iterator[list[Row]]:
        nonlocal copies
        copies += 1
        if copies == 1:
            redis.kill()
            redis.put_back()
            redis.restart()
        yield from scan_rows(client, settings)

    monkeypatch.setattr(snapshot, "scan_rows", scan_as_it_goes_back)
    taken = snapshot.take(settings, START_MS)
    assert (copies, taken.snapshot_id, taken.users) == (2, 1, len({message.key for message in BEFORE[:200]}))
    with warehouse.connect(settings) as database:
        cuts = warehouse.snapshot_cuts(database, taken.snapshot_id)
    assert {(topic, part): cut.next_pos for (topic, part), cut in cuts.items()} == {
        (topic, part): offset for part, state in held.items() for topic, offset in (state.offsets or {}).items()
    }
