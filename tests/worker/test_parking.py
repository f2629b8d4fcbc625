"""Who may park a shard, and for how long it then stays parked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from consumers.worker.parking import REPAIR_SECONDS, Parked, park, still_parked
from segmenter.errors import Corrupt, OwnershipLost
from segmenter.settings import Settings
from segmenter.store.connection import Store, connect
from segmenter.store.shards import acquire_shard, read_shards
from tests.loop.population import crowd, put

REASON = Corrupt("the row of user u1 in Redis cannot be read")


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with closing(connect(settings)) as client:
        put(made := Store(client, settings), crowd(range(10)))
        yield made


def test_only_the_owner_of_a_shard_may_park_it(store: Store) -> None:
    """Whoever was its owner before is told that another one is."""
    former = acquire_shard(*store, 0).token
    token = acquire_shard(*store, 0).token
    with pytest.raises(OwnershipLost, match="shard 0 has another owner"):
        park(store, 0, former, REASON)
    assert read_shards(*store)[0].parked == ""
    park(store, 0, token, REASON)
    assert str(REASON) in read_shards(*store)[0].parked


def test_a_parked_shard_is_left_to_whoever_repairs_it(store: Store) -> None:
    """When it is time to try it again, and another process has acquired it, that one has some minutes more."""
    mine, others = acquire_shard(*store, 0).token, acquire_shard(*store, 1).token
    parked = {0: park(store, 0, mine, REASON), 1: park(store, 1, others, REASON)}
    assert still_parked(store, parked) == parked
    now = time.monotonic()
    due = {0: Parked(REASON, mine, now - 1), 1: Parked(REASON, "mine before", now - 1)}
    assert still_parked(store, due).keys() == {1}
    due[1] = due[1]._replace(retry_at=now - REPAIR_SECONDS)
    assert still_parked(store, due) == {}
