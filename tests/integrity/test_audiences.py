"""Audiences: each user is in that of their own segment, and in no other; and a repair of them that ends half-way."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import closing

import msgspec
import pytest

from consumers import worker
from segmenter.events import Event, shard_of
from segmenter.operations import owners
from segmenter.operations.integrity import verify as verification
from segmenter.operations.integrity.digests import digest_store
from segmenter.operations.integrity.repair import repair_shards
from segmenter.settings import Settings
from segmenter.shards.commits import repair_commit
from segmenter.store.connection import Redis, Store, connect
from segmenter.store.keys import Keys
from segmenter.store.rows import read_rows, scan_users
from segmenter.store.shards import acquire_shard, commit_shard, read_shards
from tests import verbs
from tests.loop.helpers import START_MS, age_heartbeats, differences, publish

SHARD = 0
OWN, OTHER = "unassigned", "highly_engaged"


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """Users without a generation, so all are in one segment; their worker is long gone."""
    publish(settings, "views", [Event(f"u{number}", START_MS) for number in range(40)])
    worker.run(settings, once=True, may_refit=False)
    age_heartbeats(settings)
    with closing(connect(settings)) as client:
        yield Store(client, settings)


def test_a_user_in_another_audience_in_two_or_in_none_is_named(store: Store, environment: dict[str, str]) -> None:
    """By `verify`, each of them and nobody else; and by `verify --digest`."""
    client, settings = store
    own, other = (Keys(settings.key_prefix).audience(SHARD, slug) for slug in (OWN, OTHER))
    moved, doubled, lost = sorted(client.smembers(own))[:3]
    before = digest_store(settings)
    client.smove(own, other, moved)
    client.sadd(other, doubled)
    client.srem(own, lost)
    done = verbs.run("verify", "--json", environment=environment)
    wrong = {(each["field"], each["name"], each["expected"]) for each in json.loads(done.stdout)["differences"]}
    assert done.returncode == 1 and wrong == {
        (moved.decode(), OTHER, "not in it"),
        (moved.decode(), OWN, "in it"),
        (doubled.decode(), OTHER, "not in it"),
        (lost.decode(), OWN, "in it"),
    }
    spoilt = digest_store(settings)
    assert spoilt.audiences != before.audiences and spoilt._replace(audiences=before.audiences) == before
    repair_shards(store, [SHARD])
    assert differences(settings) == [] and digest_store(settings) == before


def test_a_shard_that_is_written_to_meanwhile_is_examined_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody leaves between the look at the rows and that at the audiences: nothing is wrong."""
    client, settings = store
    user = min(client.smembers(Keys(settings.key_prefix).audience(SHARD, OWN)))
    state, (row,) = acquire_shard(client, settings, SHARD), read_rows(client, settings, [user])
    commit = repair_commit({}, [user], {user: row}, state, settings.kinds, None)
    counts = msgspec.structs.replace(state.counts, folded=state.counts.folded - 1)
    leaving = commit._replace(after=commit.after._replace(counts=counts))
    outcomes: list[str] = []

    def scan_as_one_leaves(client: Redis, settings: Settings) -> Iterator[list[bytes]]:
        yield from scan_users(client, settings)
        outcomes.append(commit_shard(client, settings, SHARD, state, leaving, "")[0])

    monkeypatch.setattr(verification, "scan_users", scan_as_one_leaves)
    found = verification.verify(settings)
    assert outcomes == ["ok", "done"] and (found.users, found.differences) == (39, [])


class Killed(Exception):
    """The process ends here."""


@pytest.mark.parametrize("next_one", ["repair", "worker"])
def test_a_repair_that_ends_half_way_leaves_the_shard_dirty(
    store: Store, monkeypatch: pytest.MonkeyPatch, next_one: str
) -> None:
    """One of many commits: until its last one is made, the shard is dirty, and whoever acquires it does the rest."""
    client, settings = store
    key = Keys(settings.key_prefix).audience(SHARD, OWN)
    users = client.smembers(key)
    assert {shard_of(user, settings.partitions) for user in users} == {SHARD} and len(users) > 9
    client.delete(key)
    client.hincrby(Keys(settings.key_prefix).shard(SHARD), "begun", 1)
    seen: list[bool] = []

    def commit_and_die(*arguments: object) -> object:
        made = commit_shard(*arguments)  # type: ignore[arg-type]
        seen.append(read_shards(*store)[SHARD].dirty)
        if len(seen) == 3:
            raise Killed
        return made

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(owners, "commit_shard", commit_and_die)
        repair_shards(Store(client, dataclasses.replace(settings, commit_rows=3)), [SHARD])
    assert seen == [True] * 3 and client.scard(key) == 9
    assert f"shard {SHARD}: shard dirty is true, should be false" in differences(settings)
    if next_one == "repair":
        repair_shards(store, [SHARD])
    else:
        worker.run(settings, once=True, may_refit=False)
    assert client.smembers(key) == users and differences(settings) == []
