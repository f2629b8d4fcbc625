"""What a shard has counted is what the events say, too: `reconcile` and `verify` never disagree about one store."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext

import pytest

from consumers import sink, worker
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter import topics
from segmenter.events.sharding import shard_of
from segmenter.operations import snapshot
from segmenter.operations.reconcile import reconcile, reconcile_and_repair
from segmenter.settings import Settings
from segmenter.shards.state import Commit
from segmenter.store.connection import Store, connect
from segmenter.store.shards import acquire_shard, commit_shard, read_shards
from tests.integrity.spoiling import Spoiler
from tests.loop.helpers import START_MS, age_heartbeats, counts, differences, profiles
from tests.loop.plainly import counts_of, profiles_of
from tests.threads import Threads

USERS = 80
FIRST = [*generate(600, USERS, seed=1), *list(generate(600, USERS, seed=1))[:40]]
"""Forty of them are repeats."""
SECOND = list(generate(500, USERS, seed=2))

Until = Callable[[Callable[[], object]], None]


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with closing(connect(settings)) as client:
        yield Store(client, settings)


@contextmanager
def working(store: Store, until: Until) -> Iterator[None]:
    """A worker holds all shards."""
    stop, before = threading.Event(), {state.token for state in read_shards(*store).values()}
    with Threads() as pool:
        running = pool.submit(worker.run, store.settings, False, False, stopping=stop.is_set)
        try:
            until(lambda: before.isdisjoint(state.token for state in read_shards(*store).values()))
            yield
        finally:
            stop.set()
        running.result()


def begin_at_the_end(store: Store) -> None:
    """As a worker does with --from-log-start when the log has lost all that it held."""
    ids = topics.ensure_topics(store.settings)
    ends = topics.ends(store.settings, ids)
    plain = {topic.removeprefix(store.settings.topic_prefix): topic_id for topic, topic_id in ids.items()}
    for number in range(store.settings.partitions):
        state = acquire_shard(*store, number)
        offsets = {topic: ends[store.settings.topic_prefix + topic, number] for topic in plain}
        begun = Commit([], [], state._replace(offsets=offsets, topic_ids=plain))
        assert commit_shard(*store, number, state, begun, "")[0] == "ok"


def command(environment: dict[str, str], *words: str) -> tuple[int, dict[str, object], str]:
    run = [sys.executable, "-m", "segmenter", *words]
    done = subprocess.run([*run, "--json"], env=environment, capture_output=True, text=True)
    return (
        done.returncode,
        json.loads(done.stdout),
        subprocess.run(run, env=environment, capture_output=True, text=True).stdout,
    )


@pytest.mark.parametrize("lives", [True, False], ids=["a worker lives", "no worker"])
def test_who_began_late_is_repaired_and_verified(store: Store, until: Until, lives: bool) -> None:
    """The first events are in no row. Once they are, counts and rows agree, and both proofs say so."""
    publish(store.settings, FIRST)
    sink.run(store.settings, once=True)
    begin_at_the_end(store)
    publish(store.settings, SECOND)
    worker.run(store.settings, once=True)
    sink.run(store.settings, once=True)
    assert differences(store.settings) == []
    age_heartbeats(store.settings)
    with working(store, until) if lives else nullcontext():
        *_, last = reconcile_and_repair(store.settings, wait_s=60)
        assert last.result.equal
        assert differences(store.settings) == []
    assert profiles(store.settings) == profiles_of([*FIRST, *SECOND])
    assert counts(store.settings) == counts_of([*FIRST, *SECOND], store.settings.partitions)
    publish(store.settings, more := list(generate(100, USERS, seed=3)))
    worker.run(store.settings, once=True)
    assert counts(store.settings) == counts_of([*FIRST, *SECOND, *more], store.settings.partitions)
    assert differences(store.settings) == []


def test_wrong_counts_are_evidence_that_only_the_events_settle(store: Store, environment: dict[str, str]) -> None:
    """Both proofs name them. Only `reconcile --repair` knows whether they or the rows are wrong."""
    publish(store.settings, FIRST)
    worker.run(store.settings, once=True)
    sink.run(store.settings, once=True)
    age_heartbeats(store.settings)
    right = counts_of(FIRST, store.settings.partitions)
    user = min(profiles(store.settings))
    number = shard_of(user, store.settings.partitions)
    wrong = f"{Spoiler(*store, user).counts()}{right[number][0]}"
    assert differences(store.settings) == [wrong]
    code, report, text = command(environment, "verify", "--repair")
    assert (code, len(report["remaining"])) == (1, 1)  # type: ignore[arg-type]
    assert "`segmenter reconcile --repair`" in text
    snapshot.take(store.settings, START_MS)
    assert not reconcile(store.settings)[1].equal
    code, report, text = command(environment, "reconcile")
    assert (code, report["differing"], report["missing"], report["extra"]) == (1, 0, 0, 0)
    assert [(each["field"], each["expected"]) for each in report["counts"]] == [("folded", right[number][0])]  # type: ignore[attr-defined]
    assert wrong in text
    first, second = reconcile_and_repair(store.settings, wait_s=60)
    assert (first.repaired, first.repaired_counts, second.result.equal) == (0, 1, True)
    assert differences(store.settings) == [] and counts(store.settings) == right


def test_a_row_that_cannot_be_read_has_no_count_to_take_back(store: Store, until: Until) -> None:
    """Nobody knows how many events were in it; the batch knows how many there must be."""
    publish(store.settings, FIRST)
    worker.run(store.settings, once=True)
    sink.run(store.settings, once=True)
    right = counts_of(FIRST, store.settings.partitions)
    torn, gone, other = (Spoiler(*store, user) for user in sorted(profiles(store.settings))[:3])
    torn.torn_row(), gone.deleted_row(), other.counts()
    age_heartbeats(store.settings)
    with working(store, until):
        *_, last = reconcile_and_repair(store.settings, wait_s=60)
        assert last.result.equal and differences(store.settings) == []
    assert profiles(store.settings) == profiles_of(FIRST) and counts(store.settings) == right
