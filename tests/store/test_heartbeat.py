"""What a heartbeat of a shard's owner writes: that it is alive, when Kafka answered it, and how far it had read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from redis import Redis

from segmenter.settings import Settings
from segmenter.shards.state import Commit, ShardState
from segmenter.store.connection import clock_ms, connect
from segmenter.store.shards import acquire_shard, commit_shard, heartbeat, read_shards

SHARD = 1
ASKED_MS = 1_700_000_000_123
"""When Kafka was asked; long ago, so that it is no other time."""


@pytest.fixture
def client(settings: Settings) -> Iterator[Redis]:
    with closing(connect(settings)) as opened:
        yield opened


def beat(
    client: Redis, settings: Settings, state: ShardState, caught_up_ms: int | None, asked_ms: int | None
) -> ShardState:
    """The shard after a heartbeat, which is now by Redis' clock."""
    before = clock_ms(client)
    assert heartbeat(client, settings, {SHARD: (state, caught_up_ms)}, asked_ms) == {SHARD: "ok"}
    found = read_shards(client, settings)[SHARD]
    assert before <= found.beat_ms <= clock_ms(client)
    return found


def test_a_shard_is_fresh_as_of_when_kafka_was_asked(client: Redis, settings: Settings) -> None:
    """Not as of the heartbeat, and only if it was read up to there; who got no answer has not seen Kafka."""
    state = acquire_shard(client, settings, SHARD)
    silent = beat(client, settings, state, None, None)
    assert (silent.log_seen_ms, silent.caught_up_ms) == (0, 0)
    behind = beat(client, settings, state, None, ASKED_MS)
    assert (behind.log_seen_ms, behind.caught_up_ms) == (ASKED_MS, 0)
    at_end = beat(client, settings, state, ASKED_MS + 1_000, ASKED_MS + 1_000)
    assert (at_end.log_seen_ms, at_end.caught_up_ms) == (ASKED_MS + 1_000, ASKED_MS + 1_000)
    behind = beat(client, settings, state, None, ASKED_MS + 2_000)
    assert (behind.log_seen_ms, behind.caught_up_ms) == (ASKED_MS + 2_000, ASKED_MS + 1_000)
    later = beat(client, settings, state, ASKED_MS + 2_000, ASKED_MS + 3_000)
    assert (later.log_seen_ms, later.caught_up_ms) == (ASKED_MS + 3_000, ASKED_MS + 2_000)
    silent = beat(client, settings, state, None, None)
    assert (silent.log_seen_ms, silent.caught_up_ms) == (ASKED_MS + 3_000, ASKED_MS + 2_000)


@pytest.mark.parametrize("how", ["another owner", "lost writes", "half a write"])
def test_a_heartbeat_that_is_refused_makes_nothing_fresh(client: Redis, settings: Settings, how: str) -> None:
    """Each is counted once."""
    state = acquire_shard(client, settings, SHARD)
    seen = state
    if how == "another owner":
        acquire_shard(client, settings, SHARD)
    else:
        seen = state._replace(**{"version" if how == "lost writes" else "begun": state.version + 1})
    before = read_shards(client, settings)[SHARD]
    assert heartbeat(client, settings, {SHARD: (seen, ASKED_MS)}, ASKED_MS)[SHARD] != "ok"
    assert read_shards(client, settings)[SHARD] == before._replace(fenced=1)


def test_a_commit_makes_nothing_fresh(client: Redis, settings: Settings) -> None:
    """It is dated by Redis' clock; only a heartbeat says who is alive and how far the log was read."""
    state = acquire_shard(client, settings, SHARD)
    before = clock_ms(client)
    assert commit_shard(client, settings, SHARD, state, Commit([], [], state), "")[0] == "ok"
    found = read_shards(client, settings)[SHARD]
    assert before <= found.committed_ms <= clock_ms(client)
    assert (found.beat_ms, found.log_seen_ms, found.caught_up_ms) == (0, 0, 0)
