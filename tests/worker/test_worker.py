"""The worker among others: generations, restarts, takeovers and an orderly end."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest
from kafka import KafkaConsumer
from kafka.coordinator.assignors.range import RangePartitionAssignor

from consumers import worker
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter.client import SegmentClient
from segmenter.model.vectors import SCALE_BITS
from segmenter.operations.status import read_status
from segmenter.settings import Settings
from segmenter.store.connection import connect
from segmenter.store.meta import group_in_use
from segmenter.store.models import publish as publish_model
from segmenter.store.models import read_model
from segmenter.store.recount import recount
from segmenter.store.shards import acquire_shard, read_shards
from segmenter.topics import event_topics
from segmenter.topics.client import client_options, refresh_metadata
from tests.loop.helpers import rows
from tests.threads import Threads

USERS = 400


Until = Callable[[Callable[[], object]], None]


def folded(settings: Settings) -> int:
    client = connect(settings)
    found = sum(state.counts.folded for state in read_shards(client, settings).values())
    client.close()
    return found


def tokens(settings: Settings) -> set[str]:
    """The tokens of the shards' present owners."""
    client = connect(settings)
    found = {state.token for state in read_shards(client, settings).values()}
    client.close()
    return found


def test_everyone_is_judged_by_the_generation_their_row_names(settings: Settings) -> None:
    """After a run all rows name the current generation, and census and audiences are what the rows say."""
    publish(settings, generate(4_000, USERS, seed=1))
    worker.run(settings, once=True)
    client = connect(settings)
    model = read_model(client, settings)
    assert model is not None and model.slugs == settings.segments
    assert {row.generation for row in rows(settings).values()} == {model.number}
    for shard, state in read_shards(client, settings).items():
        assert recount(client, settings, shard, model.space) == (state.census, [])
    status = read_status(settings)
    assert {status.generation, *(shard.generation for shard in status.shards)} == {model.number}
    sizes = {slug: sum(s.census[slug].users for s in read_shards(client, settings).values()) for slug in model.slugs}
    assert sum(sizes.values()) == len(rows(settings)) and min(sizes.values()) > 0
    client.close()


def test_a_new_generation_reaches_everyone(settings: Settings) -> None:
    """Published from outside, it is swept through all rows; who moved is in the feed with the cause `model`."""
    publish(settings, generate(2_000, USERS, seed=1))
    worker.run(settings, once=True)
    client = connect(settings)
    model = read_model(client, settings)
    assert model is not None
    turned = type(model)(
        **{name: getattr(model, name) for name in model.__struct_fields__}
        | {"number": model.number + 1, "centres": model.centres[::-1]}
    )
    assert publish_model(client, settings, turned, model)
    before = rows(settings)
    worker.run(settings, once=True, may_refit=False)
    after = rows(settings)
    assert {row.generation for row in after.values()} == {turned.number}
    moved = {user for user in after if after[user].segment != before[user].segment}
    reported = {
        entry[b"user"]
        for shard in range(settings.partitions)
        for _, entry in client.xrange(f"{settings.key_prefix}:feed:{shard}")
        if entry[b"cause"] == b"model" and entry[b"generation"] == str(turned.number).encode()
    }
    assert moved == reported and moved
    assert all(after[user].profile == before[user].profile for user in after)
    client.close()


def test_the_population_decides_scale_and_fill(settings: Settings) -> None:
    """The published fill is the mean of log1p over those who have the feature, the clicks' over everyone."""
    publish(settings, generate(2_000, USERS, seed=1))
    worker.run(settings, once=True)
    client = connect(settings)
    model = read_model(client, settings)
    client.close()
    vectors = [row.vector for row in rows(settings).values()]
    assert model is not None
    assert model.fill[0] == pytest.approx(sum(vector[0] for vector in vectors) / len(vectors), abs=1)
    timed = [vector[3] for vector in vectors if vector[3] >= 0]
    assert len(timed) < len(vectors)
    assert model.fill[3] / 2**SCALE_BITS == pytest.approx(sum(timed) / len(timed) / 2**SCALE_BITS, abs=1e-6)


def test_workers_share_the_shards(settings: Settings, until: Until) -> None:
    """A second worker joins and takes over one shard of two, then the first leaves; every event counts once."""
    first, second = threading.Event(), threading.Event()
    with Threads() as pool, ExitStack() as at_end:
        at_end.callback(first.set)
        at_end.callback(second.set)
        futures = [pool.submit(worker.run, settings, False, False, lambda n: None, first.is_set)]
        publish(settings, generate(3_000, USERS, seed=1))
        until(lambda: folded(settings) == 3_000)
        alone = tokens(settings)
        futures.append(pool.submit(worker.run, settings, False, False, lambda n: None, second.is_set))
        until(lambda: len(tokens(settings) - alone) == 1)
        publish(settings, generate(3_000, USERS, seed=2))
        until(lambda: folded(settings) == 6_000)
        first.set()
        publish(settings, generate(3_000, USERS, seed=3))
        until(lambda: folded(settings) == 9_000)
        second.set()
        results = [future.result() for future in futures]
    assert sum(sum(row.profile[index] for index in (0, 3, 4)) for row in rows(settings).values()) == 9_000
    assert all(result.records > 0 for result in results)


def test_a_worker_that_lost_its_shard_takes_it_back(settings: Settings, until: Until) -> None:
    """Fenced by another owner, it joins its group again and goes on; nothing counts twice."""
    stop = threading.Event()
    with Threads() as pool, ExitStack() as at_end:
        at_end.callback(stop.set)
        future = pool.submit(worker.run, settings, False, False, lambda n: None, stop.is_set)
        publish(settings, generate(1_000, USERS, seed=1))
        until(lambda: folded(settings) == 1_000)
        client = connect(settings)
        acquire_shard(client, settings, 0)
        client.close()
        publish(settings, generate(1_000, USERS, seed=2))
        until(lambda: folded(settings) == 2_000)
        stop.set()
        future.result()
    assert sum(sum(row.profile[index] for index in (0, 3, 4)) for row in rows(settings).values()) == 2_000


def test_sigterm_ends_in_order(settings: Settings, environment: dict[str, str], until: Until) -> None:
    """The process ends with 0, and what it had folded is complete and fresh until then."""
    publish(settings, generate(1_000, USERS, seed=1))
    process = subprocess.Popen([sys.executable, "-m", "segmenter", "worker"], env=environment, stderr=subprocess.PIPE)
    with SegmentClient(settings.redis_url, key_prefix=settings.key_prefix) as client:
        until(lambda: not client.lookup("u1").stale)
    process.terminate()
    assert process.communicate(timeout=30)[1] is not None
    assert process.returncode == 0
    assert folded(settings) == 1_000


def test_a_killed_worker_leaves_nothing_undone_and_nothing_twice(
    settings: Settings, environment: dict[str, str], until: Until
) -> None:
    """Killed with -9 in the middle of its work; the next one goes on exactly there."""
    publish(settings, generate(20_000, USERS, seed=1))
    process = subprocess.Popen(
        [sys.executable, "-m", "segmenter", "worker"], env=environment, stderr=subprocess.DEVNULL
    )
    until(lambda: folded(settings) > 0)
    process.kill()
    process.wait()
    at_the_kill = folded(settings)
    result = worker.run(settings, once=True)
    assert at_the_kill + result.records == folded(settings) == 20_000
    assert sum(sum(row.profile[index] for index in (0, 3, 4)) for row in rows(settings).values()) == 20_000


@contextmanager
def first_in_the_group(settings: Settings, until: Until) -> Iterator[None]:
    """Two members of the group that are given the two shards before any worker: their ids sort before a worker's."""
    with closing(connect(settings)) as client:
        group = group_in_use(client, settings)
    options = client_options(settings) | {
        "client_id": "first",
        "group_id": group,
        "partition_assignment_strategy": [RangePartitionAssignor],
        "heartbeat_interval_ms": 500,
        "session_timeout_ms": 6_000,
        "enable_auto_commit": False,
    }
    stop = threading.Event()

    def take_part(member: KafkaConsumer) -> None:
        while not stop.is_set():
            member.poll(1_000)
        member.close()

    with Threads() as pool, ExitStack() as at_end:
        at_end.callback(stop.set)
        members = [KafkaConsumer(**options) for _ in range(2)]
        for member in members:
            member.subscribe(list(event_topics(settings)))
            refresh_metadata(member)  # a leader that does not know the topics yet would assign nothing
        for member in members:
            pool.submit(take_part, member)
        until(lambda: all(len({at.partition for at in member.assignment()}) == 1 for member in members))
        yield


def test_a_run_that_is_given_no_shard_ends(settings: Settings, environment: dict[str, str], until: Until) -> None:
    """Others hold all shards: one that is to end has nothing to take in, says so, and ends well."""
    publish(settings, generate(1_000, USERS, seed=1))
    command = [sys.executable, "-m", "segmenter", "worker", "--once"]
    with first_in_the_group(settings, until):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "took in 0 records" in done.stdout
    assert "other workers own all shards" in done.stderr


def test_a_run_with_nothing_to_take_in_took_no_time(settings: Settings) -> None:
    """What it only reads back, to remember event ids, is not taken in."""
    publish(settings, generate(1_000, USERS, seed=1))
    assert worker.run(settings, once=True, may_refit=False).seconds > 0
    assert worker.run(settings, once=True, may_refit=False) == (0, 0, 0, 0.0)
