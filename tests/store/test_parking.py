"""Parking: who may say that a shard is parked, and that one which is corrupt leaves the others as they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from redis import Redis

from segmenter.errors import Corrupt
from segmenter.settings import Settings
from segmenter.store.connection import connect
from segmenter.store.keys import Keys
from segmenter.store.shards import acquire_shard, heartbeat, park_shard, read_shards


@pytest.fixture
def client(settings: Settings) -> Iterator[Redis]:
    with closing(connect(settings)) as opened:
        yield opened


def test_only_the_owner_parks_a_shard(client: Redis, settings: Settings) -> None:
    """A former one cannot: what it has seen may be repaired since."""
    early = acquire_shard(client, settings, 0)
    late = acquire_shard(client, settings, 0)
    assert not park_shard(client, settings, 0, early.token, "a row cannot be read")
    assert not park_shard(client, settings, 1, early.token, "a row cannot be read")
    assert {shard: state.parked for shard, state in read_shards(client, settings).items()} == {0: ""}
    assert park_shard(client, settings, 0, late.token, "another row cannot be read")
    assert read_shards(client, settings)[0].parked == "another row cannot be read"


def test_a_shard_that_works_is_not_parked(client: Redis, settings: Settings) -> None:
    """The heartbeat of who acquired it after the repair takes the mark away; one of a former owner does not."""
    early = acquire_shard(client, settings, 0)
    assert park_shard(client, settings, 0, early.token, "a row cannot be read")
    late = acquire_shard(client, settings, 0)
    assert heartbeat(client, settings, {0: (early, None)}, None) == {0: "not owner"}
    assert read_shards(client, settings)[0].parked == "a row cannot be read"
    assert heartbeat(client, settings, {0: (late, None)}, None) == {0: "ok"}
    assert read_shards(client, settings)[0].parked == ""


@pytest.mark.parametrize("spoilt", ["fenced", "key"])
def test_a_heartbeat_of_a_corrupt_shard_is_that_shards_matter(client: Redis, settings: Settings, spoilt: str) -> None:
    """Redis is there, and the other shard is well."""
    states = {shard: (acquire_shard(client, settings, shard), None) for shard in (0, 1)}
    key = Keys(settings.key_prefix).shard(0)
    if spoilt == "fenced":
        client.hset(key, mapping={"fenced": "often", "token": "another"})
    else:
        client.set(key, "a string")
    answers = heartbeat(client, settings, states, None)
    assert isinstance(answers[0], Corrupt) and answers[1] == "ok"
