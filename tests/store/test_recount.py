"""Finding what a shard holds: its rows and its audiences, whatever else there is in Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from redis import Redis

from segmenter.events.sharding import shard_of
from segmenter.settings import Settings
from segmenter.store.connection import connect
from segmenter.store.keys import Keys
from segmenter.store.recount import recount
from segmenter.store.rows import scan_users
from segmenter.store.shards import acquire_shard, commit_shard, read_shards
from tests.store.ledger import SPACE
from tests.store.test_commit import batch_of, row


@pytest.fixture
def client(settings: Settings) -> Iterator[Redis]:
    with closing(connect(settings)) as opened:
        yield opened


def test_every_user_is_found_among_many_other_keys(client: Redis, settings: Settings) -> None:
    """Most of the answers to the scan have none."""
    users = [b"u%d" % number for number in range(5)]
    client.mset({f"{settings.key_prefix}:other:{number}": "" for number in range(20_000)})
    for user in users:
        client.hset(Keys(settings.key_prefix).user(user), "segment", "unassigned")
    assert sorted(user for found in scan_users(client, settings) for user in found) == users


def test_however_many_shards_there_are_each_is_recounted_by_itself(client: Redis, settings: Settings) -> None:
    """The audiences of shard 10 are none of shard 1."""
    many = replace(settings, partitions=12)
    users = [b"u%d" % number for number in range(100)]
    for shard in range(many.partitions):
        state = acquire_shard(client, many, shard)
        rows = [row(user, shard + 1) for user in users if shard_of(user, many.partitions) == shard]
        assert rows and commit_shard(client, many, shard, state, batch_of(state, *rows), "")[0] == "ok"
    for shard, state in read_shards(client, many).items():
        assert recount(client, many, shard, SPACE) == (state.census, [])
        client.sadd(Keys(many.key_prefix).audience(shard, "elsewhere"), b"nobody")
        assert [(change.user, change.before) for change in recount(client, many, shard, SPACE)[1]] == [
            (b"nobody", "elsewhere")
        ]
