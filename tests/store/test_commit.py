"""The commit script: who may write, what a commit leaves behind, and what a failure half-way does."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from redis import Redis

from consumers.worker.acquire import Owner, ShardLog, acquire
from segmenter import crash_points
from segmenter.errors import Corrupt, LogTruncated, OwnershipLost, SegmenterError, TopicRecreated
from segmenter.model import census
from segmenter.model.generation import Generation, Segment, digest
from segmenter.settings import Settings
from segmenter.shards.row import Row
from segmenter.shards.state import Change, Commit, Removed, ShardState
from segmenter.store.connection import Store, connect
from segmenter.store.keys import Keys
from segmenter.store.meta import group_in_use, next_group
from segmenter.store.models import publish
from segmenter.store.recount import recount
from segmenter.store.rows import read_rows, scan_rows
from segmenter.store.shards import acquire_shard, commit_shard, heartbeat, members, new_token, read_shards
from tests.defaults import NAMES, TOPICS
from tests.loop.helpers import users_of
from tests.store.ledger import SPACE

KEY = bytes(16)
SHARD = 1
ZERO = dict.fromkeys(TOPICS, 0)
IDS = {topic: f"id of {topic}" for topic in TOPICS}


@pytest.fixture
def client(settings: Settings) -> Any:
    opened = connect(settings)
    yield opened
    opened.close()


def row(user: bytes, clicks: int, segment: str = "low") -> Row:
    return Row(user, segment, 1, (clicks, 0, 0, 0, 0, 0, 0, 1, 2), {"clickstream": clicks}, (clicks, 0, -1, -1))


def batch_of(state: ShardState, *rows: Row) -> Commit:
    """A commit that brings new users, and moves the offset on by their number."""
    counted = dict(state.census)
    for each in rows:
        one = census.Tally(1, (1, 1, 0, 0), (each.vector[0], 0, 0, 0), (each.vector[0] ** 2, 0, 0, 0))
        counted[each.segment] = counted[each.segment] + one if each.segment in counted else one
    offsets = state.offsets or ZERO
    offsets = {**offsets, "clickstream": offsets["clickstream"] + len(rows)}
    changes = [Change(each.user, None, each.segment, "behaviour") for each in rows]
    return Commit(rows, changes, state._replace(census=counted, space=SPACE, offsets=offsets, topic_ids=IDS))


def moves(state: ShardState, before: str | None, after: str | None, users: list[bytes]) -> Commit:
    """A commit in which users move, or leave, and nothing else changes."""
    rows = [row(user, 1, after) for user in users] if after else []
    removed = [] if after else [Removed(user) for user in users]
    return Commit(rows, [Change(user, before, after, "behaviour") for user in users], state, removed)


def generation(number: int) -> Generation:
    point = (0.0, 0.0, 0.0, 0.0)
    return Generation(
        number=number, cause="bootstrap", features=NAMES, features_since=1, centres=(point,),
        segments=(Segment(0, "low", "Low"),), scale=(1.0, 1.0, 1.0, 1.0), fill=point, population=1,
        fitted_population=1, created_ms=0,
    )  # fmt: skip


JUDGES = generation(1)


def test_a_batch_is_written_whole(client: Redis, settings: Settings) -> None:
    """Rows, audience, feed, census and offsets are there together, and as they were given."""
    state = acquire_shard(client, settings, SHARD)
    answer, after = commit_shard(client, settings, SHARD, state, batch_of(state, row(b"a", 1), row(b"b\0b", 2)), "")
    assert answer == "ok"
    assert read_rows(client, settings, [b"a", b"b\0b", b"c"]) == [row(b"a", 1), row(b"b\0b", 2), None]
    assert sorted(members(client, settings, SHARD, "low")) == [b"a", b"b\0b"]
    written = read_shards(client, settings)[SHARD]
    assert written.committed_ms > 0 and written._replace(committed_ms=0) == after
    assert after.offsets == {**ZERO, "clickstream": 2} and after.feed == 2
    entries = [fields for _, fields in client.xrange(Keys(settings.key_prefix).feed(SHARD))]
    assert [(entry[b"n"], entry[b"user"], entry[b"to"]) for entry in entries] == [
        (b"1", b"a", b"low"),
        (b"2", b"b\0b", b"low"),
    ]


def test_a_repeated_call_writes_nothing_twice(client: Redis, settings: Settings) -> None:
    """A client that times out and calls again learns that it was done."""
    state = acquire_shard(client, settings, SHARD)
    commit = batch_of(state, row(b"a", 1))
    first, second = (commit_shard(client, settings, SHARD, state, commit, "") for _ in range(2))
    assert (first[0], second[0]) == ("ok", "done")
    assert first[1] == second[1] == read_shards(client, settings)[SHARD]._replace(committed_ms=0)
    assert client.xlen(Keys(settings.key_prefix).feed(SHARD)) == 1


def test_an_earlier_owner_is_refused(client: Redis, settings: Settings) -> None:
    """The owner before can write nothing, not even a heartbeat."""
    early = acquire_shard(client, settings, SHARD)
    late = acquire_shard(client, settings, SHARD)
    assert commit_shard(client, settings, SHARD, early, batch_of(early, row(b"a", 1)), "")[0] == "not owner"
    assert heartbeat(client, settings, {SHARD: (early, 0)}, 0) == {SHARD: "not owner"}
    ahead = late._replace(token="another", version=late.version + 5)
    assert heartbeat(client, settings, {SHARD: (ahead, 0)}, 0) == {SHARD: "rolled back"}
    assert read_rows(client, settings, [b"a"]) == [None]
    assert heartbeat(client, settings, {SHARD: (late, 0)}, 0) == {SHARD: "ok"}
    assert read_shards(client, settings)[SHARD].fenced == 3


def test_an_emptied_store_has_gone_back_in_time(client: Redis, settings: Settings) -> None:
    """The owner does not get `not owner`: it acquires the shard again at once."""
    state = acquire_shard(client, settings, SHARD)
    client.delete(Keys(settings.key_prefix).shard(SHARD))
    assert commit_shard(client, settings, SHARD, state, batch_of(state, row(b"a", 1)), "")[0] == "rolled back"
    assert heartbeat(client, settings, {SHARD: (state, 0)}, 0) == {SHARD: "rolled back"}
    assert read_shards(client, settings) == {}


def test_rows_can_be_removed(client: Redis, settings: Settings) -> None:
    """A commit may remove rows; a user who leaves an audience is named as a change."""
    state = acquire_shard(client, settings, SHARD)
    _, state = commit_shard(client, settings, SHARD, state, batch_of(state, row(b"a", 1), row(b"b", 2)), "")
    leaving = Commit([], [Change(b"a", "low", None, "recount")], state, removed=[Removed(b"a")])
    assert commit_shard(client, settings, SHARD, state, leaving, "")[0] == "ok"
    assert read_rows(client, settings, [b"a", b"b"]) == [None, row(b"b", 2)]
    assert list(members(client, settings, SHARD, "low")) == [b"b"]


def test_a_row_that_cannot_be_read_is_named(client: Redis, settings: Settings) -> None:
    """One line says whose it is and what to do, wherever rows are read."""
    state = acquire_shard(client, settings, SHARD)
    commit_shard(client, settings, SHARD, state, batch_of(state, row(b"a b", 1)), "")
    client.hset(Keys(settings.key_prefix).user(b"a b"), "profile", "{spoilt")
    with pytest.raises(SegmenterError, match=r"the row of user 'a b' .* `segmenter verify --repair`"):
        read_rows(client, settings, [b"a b"])


@pytest.mark.parametrize("many", [999, 1_000, 1_001, 2_500])
def test_however_many_move_in_one_commit_each_is_in_one_audience(client: Redis, settings: Settings, many: int) -> None:
    """All of them join, all but one move on, and that one leaves; each is in one audience, and in the feed once."""
    state = acquire_shard(client, settings, SHARD)
    users = [b"u%d" % number for number in range(many)]

    def move(before: str | None, after: str | None, moving: list[bytes]) -> tuple[set[bytes], set[bytes]]:
        nonlocal state
        outcome, state = commit_shard(client, settings, SHARD, state, moves(state, before, after, moving), "")
        assert outcome == "ok"
        keys = Keys(settings.key_prefix)
        first, second = (client.smembers(keys.audience(SHARD, slug)) for slug in ("low", "high"))
        return first, second

    assert move(None, "low", users) == (set(users), set())
    assert move("low", "high", users[1:]) == ({users[0]}, set(users[1:]))
    assert move("low", None, users[:1]) == (set(), set(users[1:]))
    assert client.xlen(Keys(settings.key_prefix).feed(SHARD)) == 2 * many


FILL = "for n = 1, ARGV[1] do redis.call('XADD', KEYS[1], '*', 'n', n) end"


def test_the_feed_keeps_about_its_newest_hundred_thousand_changes(client: Redis, settings: Settings) -> None:
    """However many there are: the newest stay, without a gap."""
    keys, before, many = Keys(settings.key_prefix), 103_000, 2_000
    client.eval(FILL, 1, keys.feed(SHARD), before)
    client.hset(keys.shard(SHARD), "feed", before)
    state = acquire_shard(client, settings, SHARD)
    moving = moves(state, None, "low", [b"u%d" % user for user in range(many)])
    assert commit_shard(client, settings, SHARD, state, moving, "")[0] == "ok"
    kept = client.xlen(keys.feed(SHARD))
    assert 100_000 <= kept <= 101_000
    ((_, first),), ((_, last),) = client.xrange(keys.feed(SHARD), count=1), client.xrevrange(keys.feed(SHARD), count=1)
    assert (int(first[b"n"]), int(last[b"n"])) == (before + many - kept + 1, before + many)


def test_workers_leave_a_group_that_is_stuck_once(client: Redis, settings: Settings) -> None:
    """Of two workers that find the same group stuck, one moves on for both."""
    first = group_in_use(client, settings)
    assert first.startswith(f"{settings.group}.") and group_in_use(client, settings) == first
    for _ in range(2):
        next_group(client, settings, first)
    assert group_in_use(client, settings) == f"{first}.1"
    next_group(client, settings, f"{first}.1")
    assert group_in_use(client, settings) == f"{first}.2"


def test_a_group_that_was_left_assigns_no_shard(client: Redis, settings: Settings) -> None:
    """Members of it read other topics, perhaps; the owner stays as it was."""
    acquire_shard(client, settings, SHARD, group_number="")
    before = read_shards(client, settings)
    next_group(client, settings, group_in_use(client, settings))
    with pytest.raises(OwnershipLost, match="another group"):
        acquire_shard(client, settings, SHARD, group_number="")
    assert read_shards(client, settings) == before
    late = acquire_shard(client, settings, SHARD, group_number="1")
    assert read_shards(client, settings) == {SHARD: late} and late.token != before[SHARD].token


@pytest.mark.parametrize("field, value", [("version", "1"), ("offsets", '{"clickstream":7}')])
def test_a_store_gone_back_in_time_is_noticed(client: Redis, settings: Settings, field: str, value: str) -> None:
    """The owner's next write and its next heartbeat both see that confirmed writes are gone."""
    state = acquire_shard(client, settings, SHARD)
    _, state = commit_shard(client, settings, SHARD, state, batch_of(state, row(b"a", 1)), "")
    client.hset(Keys(settings.key_prefix).shard(SHARD), field, value)
    assert commit_shard(client, settings, SHARD, state, batch_of(state, row(b"b", 1)), "")[0] == "rolled back"
    answer = "rolled back" if field == "version" else "ok"
    assert heartbeat(client, settings, {SHARD: (state, None)}, None) == {SHARD: answer}


def test_a_judgement_by_an_old_generation_is_refused(client: Redis, settings: Settings) -> None:
    """A commit judged by a generation that is no longer current must be judged again."""
    state = acquire_shard(client, settings, SHARD)
    assert publish(client, settings, generation(1), None)
    assert commit_shard(client, settings, SHARD, state, batch_of(state, row(b"a", 1)), "")[0] == "superseded"
    assert commit_shard(client, settings, SHARD, state, batch_of(state, row(b"a", 1)), digest(generation(1)))[0] == "ok"


def test_only_one_of_two_generations_follows(client: Redis, settings: Settings) -> None:
    """Publishing compares and sets: the second to follow the same one is refused, a repeat of the first is not."""
    first = generation(1)
    assert publish(client, settings, first, None)
    second, other = generation(2), generation(3)
    assert publish(client, settings, second, first)
    assert publish(client, settings, second, first)
    assert not publish(client, settings, other, first)


def test_a_commit_that_fails_half_way_is_recounted(client: Redis, settings: Settings) -> None:
    """A key of the wrong type stops the script in the middle; acquiring the shard makes census and audiences fit.

    Audiences are looked for by their keys: a census that is wrong itself may not know of one.
    """
    store = Store(client, settings)
    assert publish(client, settings, JUDGES, None)
    state = acquire_shard(client, settings, SHARD)
    _, state = commit_shard(client, settings, SHARD, state, batch_of(state, row(b"u5", 1)), digest(JUDGES))
    key = Keys(settings.key_prefix).user(b"u11")
    client.set(key, "not a hash")
    with pytest.raises(Corrupt, match="WRONGTYPE"):
        commit_shard(client, settings, SHARD, state, batch_of(state, row(b"u15", 3), row(b"u11", 4)), digest(JUDGES))
    assert read_shards(client, settings)[SHARD].dirty
    client.delete(key)
    unknown = Keys(settings.key_prefix).audience(SHARD, "unknown_to_the_census")
    client.sadd(unknown, b"u5")
    owned = acquire(store, SHARD, Owner(new_token(), ""), ShardLog(IDS, ZERO), JUDGES, KEY)
    assert not owned.state.dirty and owned.offsets == {**ZERO, "clickstream": 1}
    written = [each.user for rows in scan_rows(client, settings) for each in rows]
    assert sorted(members(client, settings, SHARD, "low")) == sorted(written)
    assert owned.state.census["low"].users == len(written)
    assert recount(client, settings, SHARD, SPACE) == (owned.state.census, [])
    assert not client.exists(unknown)
    newest = client.xrevrange(Keys(settings.key_prefix).feed(SHARD), count=1)
    assert owned.state.feed > int(newest[0][1][b"n"]) + 1


class Killed(Exception):
    """The process ends here."""


@pytest.mark.parametrize("commits", [1, 2, 3])
def test_a_recount_that_ends_half_way_is_done_again(
    client: Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    """A recount of many commits leaves the shard dirty before its last one: the next owner finds what is left."""
    store = Store(client, dataclasses.replace(settings, commit_rows=3))
    users = [user.encode() for user in users_of(settings, SHARD)]
    assert publish(client, settings, JUDGES, None)
    state = acquire_shard(client, settings, SHARD)
    _, state = commit_shard(
        client, settings, SHARD, state, batch_of(state, *(row(user, 1) for user in users[:12])), digest(JUDGES)
    )
    keys = Keys(settings.key_prefix)
    client.delete(keys.audience(SHARD, "low"))
    client.hset(keys.shard(SHARD), "census", "{}")
    client.hincrby(keys.shard(SHARD), "begun", 1)
    left = commits

    def kill(point: crash_points.CrashPoint) -> None:
        nonlocal left
        left -= point == "recount"
        if not left:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(crash_points, "_watchers", [kill])
        acquire(store, SHARD, Owner(new_token(), ""), ShardLog(IDS, ZERO), JUDGES, KEY)
    assert len(members(client, settings, SHARD, "low")) == 3 * commits
    assert read_shards(client, settings)[SHARD].dirty
    owned = acquire(store, SHARD, Owner(new_token(), ""), ShardLog(IDS, ZERO), JUDGES, KEY)
    assert client.smembers(keys.audience(SHARD, "low")) == set(users[:12])
    assert owned.state.census == state.census and not read_shards(client, settings)[SHARD].dirty


def test_a_shard_whose_writes_were_not_counted_stays_dirty_until_it_is_recounted(
    client: Redis, settings: Settings
) -> None:
    """As 0.1.0 leaves it; a commit that fails half-way does not make up for what was not counted."""
    keys = Keys(settings.key_prefix)
    state = acquire_shard(client, settings, SHARD)
    client.hset(keys.shard(SHARD), "begun", state.version - 1)
    state = acquire_shard(client, settings, SHARD)
    assert state.dirty
    client.set(keys.feed(SHARD), "not a stream")
    with pytest.raises(Corrupt, match="WRONGTYPE"):
        commit_shard(client, settings, SHARD, state, batch_of(state, row(b"u5", 1)), "")
    assert read_shards(client, settings)[SHARD].dirty


def test_offsets_of_another_topic_are_refused(client: Redis, settings: Settings) -> None:
    """A recreated topic of the same name has other offsets."""
    store = Store(client, settings)
    acquire(store, SHARD, Owner(new_token(), ""), ShardLog(IDS, ZERO), None, KEY)
    with pytest.raises(TopicRecreated, match="'clickstream' was recreated"):
        acquire(store, SHARD, Owner(new_token(), ""), ShardLog(IDS | {"clickstream": "another id"}, ZERO), None, KEY)


def test_a_shard_that_redis_does_not_know_begins_at_offset_0_or_not_at_all(client: Redis, settings: Settings) -> None:
    """Unless the first events are to be left out: then the counts say where it began."""
    store, beginnings = Store(client, settings), {**ZERO, "views": 7}
    with pytest.raises(LogTruncated, match="begins at 7, and Redis knows nothing of the shard"):
        acquire(store, SHARD, Owner(new_token(), ""), ShardLog(IDS, beginnings), None, KEY)
    assert read_shards(client, settings)[SHARD].offsets is None
    shard = acquire(store, SHARD, Owner(new_token(), ""), ShardLog(IDS, beginnings, from_log_start=True), None, KEY)
    assert shard.offsets == beginnings
    assert read_shards(client, settings)[SHARD].counts.begins == {"views": 7}
