"""What cannot be read of a shard is removed, that alone, and the shard goes on as the one that it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from consumers import worker
from producers.messages import Message
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter.errors import Fenced
from segmenter.operations.integrity.repair import verify_and_repair
from segmenter.settings import Settings
from segmenter.store.connection import Store, connect
from segmenter.store.corruption import discard
from segmenter.store.keys import Keys
from segmenter.store.shards import acquire_shard, read_shards, read_stored_shards
from tests.loop.helpers import folded, profiles
from tests.loop.plainly import profiles_of

SHARD = 0


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with closing(connect(settings)) as client:
        yield Store(client, settings)


@pytest.fixture
def taken_in(store: Store) -> list[Message]:
    """Events that a worker has taken in, which ended long ago."""
    messages = list(generate(400, 40, seed=1))
    take_in(store, messages)
    store.client.hset(Keys(store.settings.key_prefix).shard(SHARD), "beat_ms", 0)
    return messages


def take_in(store: Store, messages: list[Message]) -> None:
    publish(store.settings, messages)
    worker.run(store.settings, once=True, may_refit=False)


def numbers(store: Store) -> list[int]:
    """Of the entries in the shard's feed, the oldest first."""
    return [int(fields[b"n"]) for _, fields in store.client.xrange(Keys(store.settings.key_prefix).feed(SHARD))]


def test_a_shard_that_lost_its_topics_knows_them_again(store: Store, taken_in: list[Message]) -> None:
    """Else nobody would notice that one of them is recreated later. Every event still counts once."""
    before = read_shards(*store)[SHARD].topic_ids
    store.client.hset(Keys(store.settings.key_prefix).shard(SHARD), "topic_ids", "[1]")
    assert verify_and_repair(store.settings)[0].differences
    worker.run(store.settings, once=True, may_refit=False)
    assert read_shards(*store)[SHARD].topic_ids == before and len(before) == 3
    assert folded(store.settings) == len(taken_in) and profiles(store.settings) == profiles_of(taken_in)


def test_the_numbers_of_the_feed_go_on_when_the_last_one_was_lost(store: Store, taken_in: list[Message]) -> None:
    """A reader never sees a number again that it has seen."""
    before = numbers(store)
    store.client.hset(Keys(store.settings.key_prefix).shard(SHARD), "feed", "many")
    verify_and_repair(store.settings)
    take_in(store, list(generate(400, 80, seed=2)))
    after = numbers(store)
    assert after[: len(before)] == before and len(after) > len(before) > 1
    assert after == sorted(set(after))


def test_what_can_be_read_by_now_is_not_removed(store: Store, taken_in: list[Message]) -> None:
    """Its owner has written it meanwhile: nothing is removed, not even what nobody can read."""
    key, sound = Keys(store.settings.key_prefix).shard(SHARD), read_shards(*store)[SHARD]
    fields = store.client.hgetall(key)
    store.client.hset(key, mapping={"offsets": "?", "counts": "?"})
    unreadable = read_stored_shards(*store)[SHARD].unreadable
    assert unreadable == {"offsets": b"?", "counts": b"?"}
    store.client.hset(key, "offsets", fields[b"offsets"])
    with pytest.raises(Fenced, match=f"shard {SHARD} has changed"):
        discard(*store, SHARD, [], unreadable)
    assert store.client.hgetall(key) == fields | {b"counts": b"?"}
    store.client.hset(key, "counts", fields[b"counts"])
    assert read_shards(*store)[SHARD] == sound


def test_a_shard_whose_key_was_lost_is_parked_until_somebody_has_it(store: Store, taken_in: list[Message]) -> None:
    """`status` names it, although nothing is corrupt any more."""
    store.client.set(Keys(store.settings.key_prefix).shard(SHARD), "a string")
    discard(*store, SHARD, [], {})
    found = read_stored_shards(*store)[SHARD]
    assert found.problem == "is parked: its key was of another type" and found.state.dirty
    acquire_shard(*store, SHARD)
    worker.run(store.settings, once=True, may_refit=False)
    assert read_stored_shards(*store)[SHARD].problem is None
    assert folded(store.settings) == len(taken_in) and profiles(store.settings) == profiles_of(taken_in)
