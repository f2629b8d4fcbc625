"""Something in Redis is corrupt: the worker parks the shard, goes on with the others, and acquires it again later."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping

import pytest

from consumers import worker
from producers.messages import Message
from producers.publish import publish
from producers.synthetic.generator import generate
from producers.synthetic.invalid import invalid_records
from segmenter.client import SegmentClient
from segmenter.errors import Corrupt
from segmenter.events.sharding import shard_of
from segmenter.operations.health import problems
from segmenter.operations.integrity.repair import verify_and_repair
from segmenter.operations.integrity.verify import find_differences
from segmenter.operations.status import read_status
from segmenter.settings import Settings
from segmenter.store.connection import Redis, Store, connect
from segmenter.store.corruption import discard
from segmenter.store.keys import Keys
from segmenter.store.shards import audiences, read_shards, read_stored_shards
from tests import verbs
from tests.loop.helpers import folded, profiles, working
from tests.loop.plainly import profiles_of

PARKED = 0
"""The shard that is spoilt; the other one stays healthy."""

Until = Callable[[Callable[[], object]], None]
Spoil = Callable[[Redis, Settings, bytes], object]


def events(before: int) -> list[Message]:
    """Events that follow so many others, some of them of new users."""
    return list(generate(400, 40 + before // 20, seed=before))


def row(**fields: str) -> Spoil:
    return lambda client, settings, user: client.hset(Keys(settings.key_prefix).user(user), mapping=fields)


def key(name: str) -> Spoil:
    """A key of the shard is a string."""
    of = {"shard": Keys.shard, "feed": Keys.feed, "commands": Keys.commands}[name]
    return lambda client, settings, user: client.set(of(Keys(settings.key_prefix), PARKED), "a string")


def audience(client: Redis, settings: Settings, user: bytes) -> None:
    """The audiences that the shard has are strings."""
    for slug in read_shards(client, settings)[PARKED].census:
        client.set(Keys(settings.key_prefix).audience(PARKED, slug), "a string")


def field(name: str, value: str) -> Spoil:
    """A field of the shard, together with its owner: so the owner must acquire it again."""
    fields = {"token": "another", name: value}
    return lambda client, settings, user: client.hset(Keys(settings.key_prefix).shard(PARKED), mapping=fields)


ROWS: Mapping[str, Spoil] = {
    "vector": row(vector="?"),
    "short vector": row(vector="1,2"),
    "long vector": row(vector="1,2,3,4,5"),
    "vector beyond bounds": row(vector="9999999999,1,1,1"),
    "generation": row(generation="?"),
    "segment": row(segment="elsewhere"),
}
"""What can be repaired from the profile."""

LOST: Mapping[str, Spoil] = {
    "profile": row(profile="{"),
    "field of the profile": row(profile='{"clicks":1}'),
    "field of no kind": row(profile='{"purchases":1,"first_ms":1,"last_ms":1}'),
    "profile beyond bounds": row(profile=json.dumps({"clicks": 10**30})),
    "offsets": row(offsets="[]"),
    "torn": lambda client, settings, user: client.hdel(Keys(settings.key_prefix).user(user), "profile"),
    "type": lambda client, settings, user: client.set(Keys(settings.key_prefix).user(user), "a string"),
}
"""What only the events can show: such a row is removed, and `reconcile --repair` brings it back."""

KEYS: Mapping[str, Spoil] = {
    "audience": audience,
    "feed": key("feed"),
    "commands": key("commands"),
    "shard": key("shard"),
}

FIELDS: Mapping[str, Spoil] = {
    "offsets": field("offsets", "?"),
    "negative offsets": field("offsets", '{"clickstream":-1,"searches":0,"views":0}'),
    "other topics": field("offsets", '{"views":1}'),
    "topic ids": field("topic_ids", "[1]"),
    "census": field("census", "{"),
    "impossible census": field("census", '{"unassigned":[-1,[],[],[]]}'),
    "census of other features": field("census", '{"unassigned":[1,[1],[1],[1]]}'),
    "features": field("space", "?"),
    "counts": field("counts", "[]"),
    "generation": field("generation", "1e3"),
    "feed": field("feed", "many"),
    "fenced": field("fenced", "often"),
    "times": field("committed_ms", "soon"),
}
"""What is found when the shard is acquired."""


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    client = connect(settings)
    yield Store(client, settings)
    client.close()


def parked(store: Store) -> str:
    """Why the shard is parked; empty if it is not. A key of another type cannot hold the field that says so."""
    problem = read_stored_shards(*store)[PARKED].problem or ""
    return problem if "is parked" in problem or "of another type" in problem else ""


def of_shard(messages: list[Message], number: int, settings: Settings) -> int:
    return sum(shard_of(message.key, settings.partitions) == number for message in messages)


def healthy_one(store: Store) -> int:
    """How many events the other shard has folded."""
    counts = store.client.hget(Keys(store.settings.key_prefix).shard(1 - PARKED), "counts")
    return int(json.loads(counts or b'{"folded":0}')["folded"])


def victim(settings: Settings, messages: list[Message]) -> bytes:
    """A user of the shard who has a row, and events among these."""
    known = profiles(settings)
    of_shard = (message.key for message in messages if shard_of(message.key, settings.partitions) == PARKED)
    return next(user for user in of_shard if user in known)


def remaining(settings: Settings) -> list[str]:
    """What differs after a repair, but for the number of events, which `reconcile` corrects."""
    return [str(each) for each in verify_and_repair(settings)[1].differences if each.where != "counts"]


def spoil_and_repair(store: Store, messages: list[Message], what: Spoil, until: Until) -> str:
    """Spoil something, publish more, wait until the shard is parked and the other one is not, repair, and go on."""
    settings = store.settings
    more = events(len(messages))
    what(store.client, settings, victim(settings, more))
    messages += more
    publish(settings, more)
    until(lambda: parked(store))
    until(lambda: healthy_one(store) == of_shard(messages, 1 - PARKED, settings))
    reason = parked(store)
    assert f"shard {PARKED} {reason}" in problems(settings, "worker")
    assert remaining(settings) == []
    until(lambda: not parked(store) and read_status(settings).lag == 0)
    return reason


@pytest.mark.parametrize("judged", [False, True])
def test_a_spoilt_row_parks_its_shard_until_it_is_repaired(store: Store, until: Until, judged: bool) -> None:
    """The reason names the user and what to do; once repaired, all events are there as if nothing had been.

    Before the first model, it does not matter how many numbers a vector has.
    """
    settings, messages = store.settings, events(0)
    publish(settings, messages)
    worker.run(settings, once=True, may_refit=judged)
    messages += (more := events(len(messages)))
    publish(settings, more)
    with working(settings):
        until(lambda: folded(settings) == len(messages))
        owner = read_shards(*store)[1 - PARKED].token
        for name, what in ROWS.items():
            if name in ("short vector", "long vector") and not judged:
                continue
            reason = spoil_and_repair(store, messages, what, until)
            assert "user u" in reason and "`segmenter verify --repair`" in reason, name
            assert profiles(settings) == profiles_of(messages), name
        assert read_shards(*store)[1 - PARKED].token == owner, "it has kept its place in the group"


def test_a_lost_row_stops_no_worker(store: Store, until: Until) -> None:
    """The row is removed, and the shard goes on; the other users have all their events."""
    settings, messages = store.settings, events(0)
    publish(settings, messages)
    with working(settings):
        until(lambda: folded(settings) == len(messages))
        lost: set[bytes] = set()
        for name, what in LOST.items():
            (user,) = re.findall(r"the row of user (u\d+) ", spoil_and_repair(store, messages, what, until))
            lost.add(user.encode())
            found, expected = profiles(settings), profiles_of(messages)
            assert {user for user in expected if found.get(user) != expected[user]} <= lost, name
    assert remaining(settings) == []


def test_a_key_of_another_type_parks_its_shard(store: Store, until: Until) -> None:
    """Also the key of the shard itself: then it is read from the beginning of the log, which changes no row."""
    settings, messages = store.settings, events(0)
    publish(settings, messages)
    with working(settings):
        until(lambda: folded(settings) == len(messages))
        for name, what in KEYS.items():
            assert "of another type" in spoil_and_repair(store, messages, what, until), name
            until(lambda: folded(settings) == len(messages))
            assert profiles(settings) == profiles_of(messages), name


def test_a_hash_that_cannot_be_read_parks_its_shard(store: Store, until: Until) -> None:
    """Field after field; without offsets the log is read from its beginning, which counts every event once."""
    settings, messages = store.settings, events(0)
    publish(settings, messages)
    with working(settings):
        until(lambda: folded(settings) == len(messages))
        for name, what in FIELDS.items():
            spoil_and_repair(store, messages, what, until)
            until(lambda: folded(settings) == len(messages))
            assert profiles(settings) == profiles_of(messages), name


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("begun", value) for value in ("?", "-1", "-0", "0", "007", "1e3", "9223372036854775807", "9" * 25)),
        *(("version", value) for value in ("?", "0", "007", "1e3", "9223372036854775807", "9" * 25)),
    ],
)
def test_a_number_of_writes_that_is_wrong_is_counted_again(store: Store, field: str, value: str) -> None:
    """It parks nothing: the next owner of the shard recounts it."""
    settings, messages = store.settings, events(0)
    publish(settings, messages)
    worker.run(settings, once=True, may_refit=False)
    store.client.hset(Keys(settings.key_prefix).shard(PARKED), field, value)
    more = events(len(messages))
    publish(settings, more)
    worker.run(settings, once=True, may_refit=False)
    assert not any(state.dirty for state in read_shards(*store).values())
    assert profiles(settings) == profiles_of(messages + more) and remaining(settings) == []
    assert folded(settings) == len(messages + more)


@pytest.mark.parametrize(
    "name", ["offsets", "topic ids", "census", "features", "counts", "generation", "feed", "fenced", "times"]
)
def test_what_a_living_owner_knows_is_not_lost_by_a_repair(store: Store, until: Until, name: str) -> None:
    """It has found nothing wrong, since nothing comes: the repair has it write what it knows."""
    settings, messages = store.settings, events(0)
    publish(settings, [*messages, *messages[:9], *invalid_records(5, ["searches"], "u1", 1)])
    with working(settings):
        until(lambda: read_status(settings).lag == 0)
        until(lambda: all(shard.age_ms is not None for shard in read_status(settings).shards))
        before = read_shards(*store)[PARKED]
        FIELDS[name](store.client, settings, b"")
        store.client.hset(Keys(settings.key_prefix).shard(PARKED), "token", before.token)
        assert remaining(settings) == []
        after = read_shards(*store)[PARKED]
    assert (after.offsets, after.topic_ids, after.counts) == (before.offsets, before.topic_ids, before.counts)
    assert (after.census, after.generation) == (before.census, before.generation)
    assert after.token == before.token


@pytest.mark.parametrize("what", [FIELDS["census"], KEYS["shard"]], ids=["census", "shard"])
def test_a_repair_that_ends_half_way_is_completed_by_the_next_owner(store: Store, what: Spoil) -> None:
    """It has removed what could not be read, and no more."""
    settings, messages = store.settings, events(0)
    publish(settings, messages)
    worker.run(settings, once=True, may_refit=False)
    what(*store, b"")
    discard(*store, PARKED, audiences(*store, [PARKED])[PARKED], read_stored_shards(*store)[PARKED].unreadable)
    worker.run(settings, once=True, may_refit=False)
    assert not [str(each) for found in find_differences(store).values() for each in found.differences]
    assert profiles(settings) == profiles_of(messages) and folded(settings) == len(messages)


def test_what_is_repaired_by_hand_is_tried_again(store: Store, until: Until) -> None:
    settings, messages = store.settings, events(0)
    publish(settings, messages)
    with working(settings):
        until(lambda: folded(settings) == len(messages))
        user = victim(settings, more := events(1))
        key = Keys(settings.key_prefix).user(user)
        sound = store.client.dump(key)
        ROWS["vector"](*store, user)
        publish(settings, more)
        until(lambda: parked(store))
        store.client.restore(key, 0, sound, replace=True)
        until(lambda: folded(settings) == len(messages + more) and not parked(store))
    assert profiles(settings) == profiles_of(messages + more)


def test_once_ends_with_the_error_after_the_healthy_shards(store: Store, environment: dict[str, str]) -> None:
    """`status --check` fails likewise, and lookups of the shard are stale."""
    settings, messages = store.settings, events(0)
    publish(settings, messages)
    worker.run(settings, once=True, may_refit=False)
    user = victim(settings, more := events(1))
    ROWS["vector"](*store, user)
    publish(settings, more)
    with pytest.raises(Corrupt, match=f"the row of user {user.decode()} in Redis cannot be read"):
        worker.run(settings, once=True, may_refit=False)
    assert healthy_one(store) == of_shard(messages + more, 1 - PARKED, settings)
    code, said = ended(environment, "worker", "--once")
    assert code == 1 and f"user {user.decode()}" in said and "`segmenter verify --repair`" in said
    code, said = ended(environment, "status", "--check", "worker")
    assert code == 1 and f"shard {PARKED} is parked: the row of user {user.decode()}" in said
    assert ended(environment, "verify", "--repair")[0] == 0
    worker.run(settings, once=True, may_refit=False)
    assert profiles(settings) == profiles_of(messages + more)
    assert not parked(store)


def ended(environment: dict[str, str], *words: str) -> tuple[int, str]:
    done = verbs.run(*words, environment=environment)
    return done.returncode, done.stdout + done.stderr


def test_a_spoilt_row_is_unknown_to_lookups(store: Store) -> None:
    """And stale; the other users of the same call are answered."""
    settings, messages = store.settings, events(0)
    publish(settings, messages)
    worker.run(settings, once=True, may_refit=False)
    user = victim(settings, messages)
    with SegmentClient(settings.redis_url, key_prefix=settings.key_prefix) as client:
        users = [user.decode(), *(each.decode() for each in profiles(settings) if each != user)]
        key, before = Keys(settings.key_prefix).user(user), client.lookup_many(users)
        for name, what in LOST.items():
            sound = store.client.dump(key)
            what(*store, user)
            spoilt, *others = client.lookup_many(users)
            assert (spoilt.segment, spoilt.stale) == ("unknown", True), name
            assert [answer.aggregates for answer in others] == [answer.aggregates for answer in before[1:]], name
            store.client.restore(key, 0, sound, replace=True)
