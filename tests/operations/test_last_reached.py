"""Since when a part is away, as those say who could still reach it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

from segmenter.events import Rules
from segmenter.operations.status import read_status
from segmenter.settings import Settings
from segmenter.store.connection import connect
from segmenter.store.keys import Keys
from segmenter.store.meta import claim
from segmenter.store.shards import acquire_shard


def test_kafka_was_last_reached_when_the_worker_of_any_shard_last_did(settings: Settings) -> None:
    """Some workers may have lost it before others; a shard whose worker never reached it says nothing.

    Without topics Kafka counts as away.
    """
    own = replace(settings, partitions=4)
    with closing(connect(own)) as client:
        claim(client, own, Rules.of(own))
        assert read_status(own).unreachable["kafka"].since_ms is None
        for number, seen_ms in ((0, 2_000), (1, 9_000), (2, 0), (3, 5_000)):
            acquire_shard(client, own, number)
            client.hset(Keys(own.key_prefix).shard(number), "log_seen_ms", seen_ms)
        assert read_status(own).unreachable["kafka"].since_ms == 9_000
