"""The change feed keeps its running numbers when a shard that has lost count of them is repaired."""

from __future__ import annotations

from contextlib import closing

from consumers import worker
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter.events.sharding import shard_of
from segmenter.operations.integrity.repair import verify_and_repair
from segmenter.settings import Settings
from segmenter.store.connection import connect
from segmenter.store.keys import Keys
from tests.loop.helpers import age_heartbeats, differences, rows

PART = 1


def test_a_repair_goes_on_numbering_where_the_feed_ends(settings: Settings) -> None:
    """Nobody knows the number of the last change: it cannot be read, and no worker lives. One row is wrong."""
    publish(settings, generate(800, 80, seed=1))
    worker.run(settings, once=True)
    keys = Keys(settings.key_prefix)
    user = next(user for user in sorted(rows(settings)) if shard_of(user, settings.partitions) == PART)
    elsewhere = next(slug for slug in settings.segments if slug != rows(settings)[user].segment)
    age_heartbeats(settings)
    with closing(connect(settings)) as client:

        def numbers() -> list[int]:
            return [int(entry[b"n"]) for _, entry in client.xrange(keys.feed(PART))]

        before = numbers()
        assert before == list(range(1, len(before) + 1))
        client.hset(keys.user(user), "segment", elsewhere)
        client.hset(keys.shard(PART), "feed", "many")
        verify_and_repair(settings)
        assert differences(settings) == []
        assert len(numbers()) > len(before)
        assert numbers() == list(range(1, len(numbers()) + 1))
