"""Redis is filled again from the warehouse's raw events alone, and workers go on from where the sink is."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing

import pandas as pd
import pytest
from kafka.admin import KafkaAdminClient
from sqlalchemy import text

from consumers import sink, worker
from producers.messages import Message
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter import topics, warehouse
from segmenter.errors import LogTruncated, TopicRecreated, UsageError
from segmenter.operations import snapshot
from segmenter.operations.reconcile import reconcile
from segmenter.operations.restore_from_raw import prepare_from_raw, restore_from_raw
from segmenter.settings import Settings
from segmenter.store.connection import connect
from segmenter.store.models import read_model
from segmenter.store.shards import read_shards
from segmenter.topics.client import client_options
from segmenter.warehouse.engine import writing
from tests import verbs
from tests.chaos.events import aggregates
from tests.defaults import FIELDS
from tests.loop.helpers import START_MS, age_heartbeats, counts, differences, profiles, remove_keys, rows
from tests.loop.plainly import counts_of

Until = Callable[[Callable[[], object]], None]
USERS = 330
FIRST = [*generate(2_000, USERS, seed=1), *list(generate(2_000, USERS, seed=1))[1_900:]]
"""The last hundred are repeats."""
SECOND = [*generate(1_000, USERS, seed=2), *FIRST[-50:]]
"""The last fifty are repeats of events of the first part."""
BAD = list(generate(0, USERS, seed=3, invalid=12))

KILLED_IN_ITS_THIRD_COMMIT = """
import os, signal, sys
from segmenter.operations import restore
from segmenter.cli import main
commit, commits = restore.commit_shard, iter(range(3))
def struck(*arguments):
    return commit(*arguments) if next(commits) < 2 else os.kill(os.getpid(), signal.SIGKILL)
restore.commit_shard = struck
sys.argv = ["segmenter", "restore", "--from-raw"]
main()
"""


def assert_as_pandas_says(settings: Settings, events: Sequence[Message]) -> None:
    """The rows are what plain pandas makes of the events, and the shards have counted them."""
    read = [{"topic": message.topic, **json.loads(message.value or b"")} for message in events]
    expected = aggregates(pd.DataFrame(read).drop_duplicates(["topic", "user_id", "event_id"]))
    found = pd.DataFrame({user.decode(): profile for user, profile in profiles(settings).items()}, index=FIELDS).T
    pd.testing.assert_frame_equal(found.sort_index(), expected, check_names=False)
    assert counts(settings) == counts_of(events, settings.partitions)
    assert differences(settings) == []


def assert_stream_equals_batch(settings: Settings) -> None:
    sink.run(settings, once=True)
    snapshot.take(settings, START_MS + 1)
    assert reconcile(settings)[1].equal


def dead_letters(settings: Settings) -> int:
    with closing(connect(settings)) as client:
        return sum(sum(state.counts.dead_letters.values()) for state in read_shards(client, settings).values())


def test_no_snapshot_and_an_empty_redis(settings: Settings) -> None:
    """What the sink has loaded is back at once, the rest comes from the log, and no repeat counts."""
    publish(settings, FIRST)
    sink.run(settings, once=True)
    publish(settings, SECOND)
    plan = restore_from_raw(settings)
    assert (plan.snapshot, plan.generation, plan.gaps, plan.to_come) == (None, None, [], len(SECOND))
    assert_as_pandas_says(settings, FIRST)
    assert {row.segment for row in rows(settings).values()} == {"unassigned"}
    assert worker.run(settings, once=True).records == len(SECOND)
    assert_as_pandas_says(settings, [*FIRST, *SECOND])
    assert {row.segment for row in rows(settings).values()} == set(settings.segments)
    assert_stream_equals_batch(settings)


def test_the_sink_is_beyond_the_snapshot(settings: Settings) -> None:
    """Judged by the snapshot's model, so segments keep their names; its dead letters are kept, later ones not known."""
    publish(settings, [*FIRST, *BAD])
    worker.run(settings, once=True)
    snapshot.take(settings, START_MS)
    publish(settings, [*SECOND, *BAD])
    worker.run(settings, once=True, may_refit=False)
    sink.run(settings, once=True)
    before = {user: row._replace(offsets={}) for user, row in rows(settings).items()}
    with closing(connect(settings)) as client:
        model = read_model(client, settings)
    remove_keys(settings)
    plan = restore_from_raw(settings)
    assert plan.generation == model is not None and plan.to_come == 0
    assert {user: row._replace(offsets={}) for user, row in rows(settings).items()} == before
    assert_as_pandas_says(settings, [*FIRST, *SECOND])
    assert dead_letters(settings) == len(BAD)
    assert worker.run(settings, once=True).records == 0
    assert_stream_equals_batch(settings)


def test_the_sink_is_behind_the_stream(settings: Settings) -> None:
    """Workers read on from the sink's offsets; the dead letters of a snapshot beyond them would count twice."""
    publish(settings, FIRST)
    sink.run(settings, once=True)
    publish(settings, [*SECOND, *BAD])
    worker.run(settings, once=True)
    snapshot.take(settings, START_MS)
    age_heartbeats(settings)
    assert restore_from_raw(settings, replace=True).to_come == len(SECOND) + len(BAD)
    assert_as_pandas_says(settings, FIRST)
    worker.run(settings, once=True)
    assert_as_pandas_says(settings, [*FIRST, *SECOND])
    assert dead_letters(settings) == len(BAD)
    assert_stream_equals_batch(settings)


def test_what_the_warehouse_lacks_is_named(settings: Settings, environment: dict[str, str]) -> None:
    """A sink that came late does not know the first views of one shard; nor does Redis afterwards."""
    publish(settings, FIRST)
    ids = topics.topic_ids(settings)
    begin = topics.ends(settings, ids)[f"{settings.topic_prefix}views", 1] // 2
    with warehouse.connect(settings) as database:
        warehouse.migrate(database, START_MS)
        where = ("views", 1)
        start = warehouse.Loaded(ids[f"{settings.topic_prefix}views"], begin)
        warehouse.begin(database, {where: start}, START_MS)
    sink.run(settings, once=True)
    done = verbs.run("restore", "--from-raw", "--json", environment=environment)
    (gap,) = json.loads(done.stdout)["gaps"]
    assert gap == {"topic": "views", "part": 1, "first_pos": 0, "end_pos": begin, "recorded_ms": START_MS}
    done = verbs.run("restore", "--from-raw", "--replace", environment=environment)
    assert (
        f"the warehouse lacks offsets 0 to {begin - 1:,} of topic 'views' partition 1: no user has them" in done.stdout
    )
    worker.run(settings, once=True)
    snapshot.take(settings, START_MS)
    assert reconcile(settings)[1].equal, "both begin at the same offset"
    assert differences(settings) == []


def test_one_that_was_killed_is_noticed_and_done_again(settings: Settings, environment: dict[str, str]) -> None:
    publish(settings, FIRST)
    sink.run(settings, once=True)
    environment |= {"SEGMENTER_COMMIT_ROWS": "50"}
    killed = subprocess.run([sys.executable, "-c", KILLED_IN_ITS_THIRD_COMMIT], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert 0 < len(rows(settings)) < USERS - 1
    with pytest.raises(UsageError, match="only a part of the raw events: wait until `segmenter restore` is done"):
        worker.run(settings, once=True)
    restore_from_raw(settings)
    assert worker.run(settings, once=True).records == 0
    assert_as_pandas_says(settings, FIRST)


def change(settings: Settings, statement: str) -> None:
    with warehouse.connect(settings) as database, writing(database) as connection:
        assert connection.execute(text(statement)).rowcount > 0


def test_what_cannot_be_restored_is_named_and_nothing_written(
    settings: Settings, environment: dict[str, str], log_begins: Callable[[str, int, int], None], until: Until
) -> None:
    """A worker lives, Redis holds users, the warehouse none, the log is another, begins too late or ends too early."""
    publish(settings, FIRST)
    with warehouse.connect(settings) as database:
        warehouse.migrate(database, START_MS)
    with pytest.raises(UsageError, match="no raw events: run `segmenter worker --from-log-start` instead"):
        prepare_from_raw(settings)
    worker.run(settings, once=True)
    sink.run(settings, once=True)
    before = rows(settings)
    with pytest.raises(UsageError, match="a worker held shard"):
        prepare_from_raw(dataclasses.replace(settings, stale_after_ms=86_400_000), replace=True)
    age_heartbeats(settings)
    with pytest.raises(UsageError, match="restore --replace` removes them first"):
        prepare_from_raw(settings)
    next_offsets = topics.ends(settings, topics.topic_ids(settings))
    publish(settings, SECOND)
    for (topic, part), offset in next_offsets.items():
        log_begins(topic, part, offset + 1)
        said = rf"{offset} of topic '{topic}' partition {part} .* begins at {offset + 1}\. Run .* --skip-gap"
        with pytest.raises(LogTruncated, match=said):
            restore_from_raw(settings, replace=True)
        log_begins(topic, part, offset)
        assert prepare_from_raw(settings, replace=True).to_come == len(SECOND)
    change(settings, "UPDATE sink_offsets SET next_pos = 1000000 WHERE topic = 'views'")
    with pytest.raises(LogTruncated, match=r"offset 1000000 of .*views' partition 0 .* the log ends at \d+\. Put the"):
        prepare_from_raw(settings, replace=True)
    with KafkaAdminClient(**client_options(settings)) as admin:
        admin.delete_topics([f"{settings.topic_prefix}views"])
    until(lambda: not topics.has_topic(settings, f"{settings.topic_prefix}views"))
    topics.ensure_topics(settings)
    with pytest.raises(TopicRecreated, match="nothing can be restored"):
        prepare_from_raw(settings, replace=True)
    assert rows(settings) == before
    done = verbs.run("restore", "--from-raw", "--snapshot", "1", environment=environment)
    assert done.returncode == 2 and "--from-raw uses no snapshot" in done.stderr
