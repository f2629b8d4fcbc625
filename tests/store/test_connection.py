"""What is said of a Redis that does not do what it is asked to."""

from __future__ import annotations

from contextlib import closing
from urllib.parse import urlsplit

import pytest

from segmenter.client import SegmentClient
from segmenter.errors import Forbidden
from segmenter.settings import Settings
from segmenter.store.connection import connect
from segmenter.store.keys import Keys
from segmenter.store.shards import acquire_shard, heartbeat, read_shards
from tests.recovery.own_redis import OwnRedis


@pytest.fixture
def limited(redis: OwnRedis) -> Settings:
    """Settings of a user who may do all but read more than one field of a hash."""
    with closing(connect(Settings(redis_url=redis.url))) as client:
        rights = ["+@all", "-hgetall", "-hmget"]
        client.acl_setuser("limited", enabled=True, passwords=["+secret"], keys=["*"], commands=rights)
        client.hset(Keys("seg").shard(0), mapping={"token": "t", "version": 3, "begun": 3})
    return Settings(redis_url=f"redis://limited:secret@127.0.0.1:{urlsplit(redis.url).port}/0", partitions=2)


def test_one_of_many_commands_that_is_not_allowed_is_named(limited: Settings) -> None:
    """It is no answer, and nothing that is corrupt: nobody goes on without it."""
    with closing(connect(limited)) as client:
        with pytest.raises(
            Forbidden, match=r"does not allow user 'limited' to do that .*hgetall.*: grant it"
        ) as refused:
            read_shards(client, limited)
        assert "secret" not in str(refused.value)
    with SegmentClient(limited.redis_url) as asked, pytest.raises(Forbidden, match="user 'limited'"):
        asked.lookup("u1")


def test_the_line_of_a_script_that_is_not_allowed_is_named(limited: Settings, redis: OwnRedis) -> None:
    """Not every Redis names the command itself. Nothing is written."""
    with closing(connect(limited)) as client, closing(connect(Settings(redis_url=redis.url))) as other:
        before = read_shards(other, limited)
        with pytest.raises(Forbidden, match=r"to do that \(.* local held = redis\.call\('HMGET', KEYS\[1\], 'version'"):
            acquire_shard(client, limited, 0)
        with pytest.raises(Forbidden, match=r"to do that \(.* local owner = redis\.call\('HMGET', KEYS\[1\], 'token'"):
            heartbeat(client, limited, {0: (before[0], None)}, None)
        assert read_shards(other, limited) == before
