"""Users in Redis without a log, for tests of what judges and moves them."""

from __future__ import annotations

from collections.abc import Mapping

from consumers.worker.owned_shard import OwnedShard, needs_sweep, sweep
from segmenter.events import shard_of
from segmenter.model.generation import digest
from segmenter.model.profiles import Profile
from segmenter.shards.commits import restore_commit
from segmenter.shards.duplicates import DuplicateWindow
from segmenter.store.connection import Store
from segmenter.store.models import read_model
from segmenter.store.shards import acquire_shard, commit_shard, read_shards
from segmenter.topics import ensure_topics
from tests.defaults import FIELDS, TOPICS

EVENTS = [FIELDS.index(name) for name in ("clicks", "searches", "views")]


def profile(clicks: int, searches: int = 0) -> Profile:
    """Of a user with so many events."""
    return clicks, 0, 0, searches, 0, 0, 0, 1, 2


def crowd(users: range, searches: int = 0) -> dict[bytes, Profile]:
    """A third of these users click 2 to 4 times, a third 7 to 9 times, and a third 200 to 202 times."""
    return {f"u{n}".encode(): profile((2, 7, 200)[n % 3] + n // 3 % 3, searches) for n in users}


def put(store: Store, profiles: Mapping[bytes, Profile]) -> None:
    """Add users with these profiles, judged by the current generation, in all shards, whose log has no records."""
    generation, none_read = read_model(*store), dict.fromkeys(TOPICS, 0)
    ids = {topic.removeprefix(store.settings.topic_prefix): id for topic, id in ensure_topics(store.settings).items()}
    for number in range(store.settings.partitions):
        users = [user for user in profiles if shard_of(user, store.settings.partitions) == number]
        state = acquire_shard(*store, number)
        known, no_offsets = [profiles[user] for user in users], [{}] * len(users)
        commit = restore_commit(users, known, no_offsets, state, store.settings.kinds, generation)
        counts = state.counts.plus(sum(sum(profiles[user][index] for index in EVENTS) for user in users), 0, {})
        commit = commit._replace(after=commit.after._replace(offsets=none_read, topic_ids=ids, counts=counts))
        judged_by = digest(generation) if generation else ""
        assert commit_shard(*store, number, state, commit, judged_by)[0] == "ok"


def own(store: Store, number: int) -> OwnedShard:
    """Become the owner of a shard."""
    return OwnedShard(number, acquire_shard(*store, number), {}, DuplicateWindow(1, {}, bytes(16)))


def sweep_all(store: Store) -> None:
    """Have everybody judged by the current generation."""
    current = read_model(*store)
    assert current is not None
    for number in range(store.settings.partitions):
        shard = own(store, number)
        while needs_sweep(shard, current):
            sweep(store, shard, current)


def is_swept(store: Store) -> bool:
    """Whether all shards say that everybody is judged by the current generation."""
    current = read_model(*store)
    assert current is not None
    return [state.generation for state in read_shards(*store).values()] == [current.number] * store.settings.partitions
