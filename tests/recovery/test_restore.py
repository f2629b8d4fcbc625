"""Restoring a snapshot: what comes back, that workers wait meanwhile, and when it is refused."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

import pytest
from kafka.admin import KafkaAdminClient
from sqlalchemy import text

from consumers import sink, worker
from producers.messages import Message
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter import topics, warehouse
from segmenter.errors import LogTruncated, TopicRecreated, UsageError
from segmenter.events.sharding import shard_of
from segmenter.operations import restore, snapshot
from segmenter.operations.reconcile import reconcile
from segmenter.settings import Settings
from segmenter.store.connection import Redis, connect
from segmenter.store.models import read_model
from segmenter.store.recount import recount
from segmenter.store.rows import scan_rows
from segmenter.store.shards import acquire_shard, read_shards
from segmenter.topics.client import client_options
from segmenter.warehouse.engine import writing
from tests.loop.helpers import START_MS, rows
from tests.loop.plainly import profiles_of
from tests.threads import Threads

USERS = 320

KILLED_IN_ITS_THIRD_COMMIT = """
import os, signal, sys
from segmenter.operations import restore
from segmenter.cli import main
commit, commits = restore.commit_shard, iter(range(3))
def struck(*arguments):
    return commit(*arguments) if next(commits) < 2 else os.kill(os.getpid(), signal.SIGKILL)
restore.commit_shard = struck
sys.argv = ["segmenter", "restore"]
main()
"""


@pytest.fixture
def client(settings: Settings) -> Iterator[Redis]:
    with closing(connect(settings)) as opened:
        yield opened


def messages(seed: int, count: int = 1_500) -> list[Message]:
    return list(generate(count, USERS, seed))


def snapshot_of(settings: Settings, *batches: Sequence[Message]) -> None:
    """Publish, have a worker take it in, and keep what that makes."""
    for batch in batches:
        publish(settings, batch)
    worker.run(settings, once=True)
    snapshot.take(settings, START_MS)


def empty(settings: Settings, client: Redis) -> None:
    """Leave of this environment what an emptied Redis holds: nothing."""
    client.delete(*client.keys(f"{settings.key_prefix}:*"))


def age_the_beats(settings: Settings, client: Redis) -> None:
    """As if the last worker had ended long ago."""
    for number in range(settings.partitions):
        client.hset(f"{settings.key_prefix}:shard:{number}", "beat_ms", 0)


def bring_back(settings: Settings, **options: Any) -> restore.Plan:
    plan = restore.prepare(settings, **options)
    restore.write(settings, plan)
    return plan


def content(settings: Settings) -> dict[bytes, tuple[object, ...]]:
    """All of each row but its offsets."""
    return {user: (row.segment, row.generation, row.profile, row.vector) for user, row in rows(settings).items()}


def counts(settings: Settings, client: Redis) -> Counter[str]:
    """How many records ended as what, over all shards."""
    summed: Counter[str] = Counter()
    for state in read_shards(client, settings).values():
        summed.update(folded=state.counts.folded, duplicates=state.counts.duplicates)
        summed.update(dead=sum(state.counts.dead_letters.values()))
    return summed


def assert_consistent(settings: Settings, client: Redis) -> None:
    """Census and audiences are what the rows say."""
    for number, state in read_shards(client, settings).items():
        assert recount(client, settings, number, state.space) == (state.census, [])


def assert_exact(settings: Settings, published: Sequence[Message]) -> None:
    assert {user: row.profile for user, row in rows(settings).items()} == profiles_of(published)


def change(settings: Settings, statement: str) -> None:
    """Spoil the warehouse."""
    with warehouse.connect(settings) as database, writing(database) as connection:
        assert connection.execute(text(statement)).rowcount > 0


def test_a_restored_store_is_as_it_was(settings: Settings, client: Redis) -> None:
    """Rows, segments, names, census, audiences and counts; a worker has nothing to do. The snapshot is incremental."""
    snapshot_of(settings, messages(1))
    publish(settings, list(generate(100, USERS, seed=2, invalid=12)))
    worker.run(settings, once=True)
    assert snapshot.take(settings, START_MS, incremental=True).base_id == 1
    before, model, states = content(settings), read_model(client, settings), read_shards(client, settings)
    counted = counts(settings, client)
    empty(settings, client)
    plan = bring_back(settings)
    assert (plan.snapshot.users, plan.to_come) == (len(before), 0)
    assert content(settings) == before and read_model(client, settings) == model and model is not None
    assert all(state.feed > 10**12 for state in read_shards(client, settings).values()), "no feed says how they came"
    assert counts(settings, client) == counted == Counter(folded=1_600, duplicates=0, dead=12)
    assert_consistent(settings, client)
    for number, state in read_shards(client, settings).items():
        for name in ("offsets", "topic_ids", "census", "generation"):
            assert getattr(state, name) == getattr(states[number], name)
    assert worker.run(settings, once=True, may_refit=False).records == 0
    assert content(settings) == before


def test_rows_beyond_the_offsets_take_in_nothing_twice(
    settings: Settings, client: Redis, monkeypatch: pytest.MonkeyPatch, until: Callable[[Callable[[], object]], None]
) -> None:
    """The snapshot reads offsets first and rows after; between them the worker takes in more, repeats among it."""
    first, between, last = messages(1), [*messages(2), *messages(1)[:200]], messages(3)
    publish(settings, first)
    worker.run(settings, once=True)
    before_it = {state.token for state in read_shards(client, settings).values()}
    ended = threading.Event()

    def after_more(*arguments: Any) -> Any:
        publish(settings, between)
        until(lambda: counts(settings, client)["folded"] == len(first) + len(between) - 200)
        return scan_rows(*arguments)

    with Threads() as threads, monkeypatch.context() as patch:
        running = threads.submit(worker.run, settings, once=False, may_refit=False, stopping=ended.is_set)
        try:
            until(lambda: before_it.isdisjoint(state.token for state in read_shards(client, settings).values()))
            patch.setattr(snapshot, "scan_rows", after_more)
            snapshot.take(settings, START_MS)
        finally:
            ended.set()
        running.result()
    publish(settings, last)
    worker.run(settings, once=True, may_refit=False)
    before, counted = content(settings), counts(settings, client)
    age_the_beats(settings, client)
    assert bring_back(settings, replace=True).to_come == len(between) + len(last)
    assert_consistent(settings, client)
    worker.run(settings, once=True, may_refit=False)
    assert content(settings) == before
    assert_exact(settings, [*first, *between, *last])
    assert counts(settings, client) == counted == Counter(folded=4_500, duplicates=200, dead=0)
    assert_consistent(settings, client)
    sink.run(settings, once=True)
    snapshot.take(settings, START_MS + 1)
    assert reconcile(settings)[1].equal


def test_while_a_worker_lives_it_is_refused(settings: Settings, client: Redis) -> None:
    snapshot_of(settings, messages(1))
    patient = dataclasses.replace(settings, stale_after_ms=86_400_000)
    with pytest.raises(UsageError, match=r"a worker held shard \d .* ago: stop the workers"):
        restore.prepare(patient, replace=True)


def test_what_redis_holds_is_removed_on_request_only(settings: Settings, client: Redis) -> None:
    """With --replace nothing stays of it, nor of keys that no worker writes."""
    snapshot_of(settings, messages(1))
    before = content(settings)
    publish(settings, [message._replace(key=b"x" + message.key) for message in messages(2)])
    worker.run(settings, once=True)
    client.set(f"{settings.key_prefix}:stray", 1)
    age_the_beats(settings, client)
    with pytest.raises(UsageError, match="restore --replace` removes them first"):
        restore.prepare(settings)
    bring_back(settings, replace=True)
    assert content(settings) == before
    assert not client.exists(f"{settings.key_prefix}:stray")
    assert_consistent(settings, client)


def test_a_restore_that_was_killed_is_noticed_and_done_again(
    settings: Settings, client: Redis, environment: dict[str, str]
) -> None:
    snapshot_of(settings, messages(1))
    before = content(settings)
    empty(settings, client)
    environment |= {"SEGMENTER_COMMIT_ROWS": "50"}
    killed = subprocess.run([sys.executable, "-c", KILLED_IN_ITS_THIRD_COMMIT], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert 0 < len(rows(settings)) < len(before)
    for refused in (lambda: worker.run(settings, once=True), lambda: snapshot.take(settings, START_MS)):
        with pytest.raises(UsageError, match="only a part of snapshot 1: wait until `segmenter restore` is done"):
            refused()
    more = messages(2)
    publish(settings, more)
    command = [sys.executable, "-m", "segmenter", "restore"]
    done = subprocess.run([*command, "--json"], env=environment, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert (said["snapshot_id"], said["users"], said["to_come"]) == (1, len(before), len(more))
    assert content(settings) == before
    worker.run(settings, once=True)
    assert_exact(settings, [*messages(1), *more])


def test_a_worker_in_between_is_noticed(settings: Settings, client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that acquired a shard just before the mark was set; the store stays marked."""
    snapshot_of(settings, messages(1))
    empty(settings, client)

    def another(*arguments: Any) -> Any:
        acquire_shard(client, settings, 1)
        return warehouse.snapshot_contents.snapshot_users(*arguments)

    monkeypatch.setattr(warehouse, "snapshot_users", another)
    with pytest.raises(UsageError, match="shard 1 was written by a worker during the restore: stop the workers"):
        bring_back(settings)
    with pytest.raises(UsageError, match="holds only a part of snapshot 1"):
        worker.run(settings, once=True)


def test_a_snapshot_that_is_removed_meanwhile_leaves_no_half_of_it(
    settings: Settings, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store stays marked; the latest snapshot is restored instead."""
    snapshot_of(settings, messages(1))
    snapshot.take(settings, START_MS + 1)
    before = content(settings)
    empty(settings, client)

    def too_late(*arguments: Any) -> Any:
        snapshot_contents = warehouse.snapshot_contents.snapshot_users(*arguments)
        with warehouse.connect(settings) as database:
            warehouse.remove_snapshots(database, 1)
        return snapshot_contents

    with monkeypatch.context() as patch:
        patch.setattr(warehouse, "snapshot_users", too_late)
        with pytest.raises(UsageError, match="the snapshot was removed from the warehouse meanwhile: run this again"):
            bring_back(settings, snapshot_id=1)
    with pytest.raises(UsageError, match="holds only a part of snapshot 1"):
        worker.run(settings, once=True)
    bring_back(settings)
    assert content(settings) == before


@pytest.mark.parametrize(
    "statement, error, said",
    [
        (
            "UPDATE snapshot_cuts SET topic_id = 'another'",
            TopicRecreated,
            r"was recreated.* nothing can be restored: start afresh with an unused SEGMENTER_KEY_PREFIX",
        ),
        (
            "UPDATE snapshot_cuts SET next_pos = 1000000 WHERE topic = 'views'",
            LogTruncated,
            r"offset 1000000 of topic .*views' partition 0 .* the log ends at \d+. Put the missing part",
        ),
        ("UPDATE snapshot_users SET cut_views = 1000000", LogTruncated, "offset 1000000 of topic .* the log ends at"),
        (
            "DELETE FROM snapshot_shards WHERE part = 1",
            UsageError,
            "a version without counts.* or run `segmenter restore --from-raw`",
        ),
    ],
)
def test_what_cannot_be_restored_is_named_and_nothing_written(
    settings: Settings, client: Redis, statement: str, error: type[Exception], said: str
) -> None:
    snapshot_of(settings, messages(1, 300))
    empty(settings, client)
    change(settings, statement)
    with pytest.raises(error, match=said):
        restore.prepare(settings)
    assert client.keys(f"{settings.key_prefix}:*") == [f"{settings.key_prefix}:meta".encode()]


def test_a_single_row_beyond_the_end_of_the_log_is_not_restored(settings: Settings, client: Redis) -> None:
    """It holds events that the log has lost: others will take their offsets, and would be left out of the row."""
    snapshot_of(settings, messages(1, 300))
    users = {shard_of(user, settings.partitions): user for user in rows(settings)}
    ends = topics.ends(settings, topics.topic_ids(settings))
    empty(settings, client)
    for (topic, part), end in ends.items():
        where = f"WHERE part = {part} AND user_id = x'{users[part].hex()}'"
        column = f"cut_{topic.removeprefix(settings.topic_prefix)}"
        change(settings, f"UPDATE snapshot_users SET {column} = {end + 1} {where}")
        with pytest.raises(
            LogTruncated, match=rf"offset {end + 1} of topic '{topic}' partition {part} .* ends at {end}"
        ):
            restore.restore(settings)
        assert rows(settings) == {}
        change(settings, f"UPDATE snapshot_users SET {column} = {end} {where}")
        assert restore.prepare(settings).to_come == 0


def test_a_snapshot_whose_next_records_have_expired_is_not_restored(
    settings: Settings, client: Redis, log_begins: Callable[[str, int, int], None]
) -> None:
    """What is before its offsets may be gone, and nothing else: a single record that is missing is a gap."""
    snapshot_of(settings, messages(1, 300))
    next_offsets = topics.ends(settings, topics.topic_ids(settings))
    publish(settings, messages(2, 300))
    age_the_beats(settings, client)
    before = rows(settings)
    for (topic, part), offset in next_offsets.items():
        log_begins(topic, part, offset + 1)
        with pytest.raises(LogTruncated) as refused:
            restore.restore(settings, replace=True)
        for said in (
            f"offset {offset} of topic '{topic}' partition {part} must",
            f"begins at {offset + 1}.",
            "from-raw",
        ):
            assert said in str(refused.value)
        assert rows(settings) == before
        log_begins(topic, part, offset)
        assert restore.prepare(settings, replace=True).to_come == 300


def test_a_log_that_lost_its_end_is_followed_from_an_earlier_snapshot(settings: Settings, client: Redis) -> None:
    """As if there had been more records than there are: the worker names the way on, and takes it from there."""
    snapshot_of(settings, messages(1))
    publish(settings, messages(2))
    worker.run(settings, once=True)
    for number, state in read_shards(client, settings).items():
        beyond = {topic: offset + 50 for topic, offset in (state.offsets or {}).items()}
        client.hset(f"{settings.key_prefix}:shard:{number}", "offsets", json.dumps(beyond, separators=(",", ":")))
    with pytest.raises(LogTruncated, match=r"the log ends at .* an earlier snapshot by `segmenter restore --rep"):
        worker.run(settings, once=True)
    age_the_beats(settings, client)
    assert bring_back(settings, snapshot_id=1, replace=True).to_come == len(messages(2))
    worker.run(settings, once=True)
    assert_exact(settings, [*messages(1), *messages(2)])


def test_a_topic_made_anew_cannot_be_restored(settings: Settings, client: Redis) -> None:
    """Worker, sink and restore say the same: only starting afresh helps."""
    snapshot_of(settings, messages(1, 300))
    sink.run(settings, once=True)
    views = f"{settings.topic_prefix}views"
    with KafkaAdminClient(**client_options(settings)) as admin:
        admin.delete_topics([views])
    topics.ensure_topics(settings)
    publish(settings, messages(2, 300))
    age_the_beats(settings, client)
    for ended in (
        lambda: worker.run(settings, once=True),
        lambda: sink.run(settings, once=True),
        lambda: restore.prepare(settings, replace=True),
    ):
        with pytest.raises(
            TopicRecreated, match="nothing can be restored: start afresh with an unused SEGMENTER_KEY_PR"
        ):
            ended()
