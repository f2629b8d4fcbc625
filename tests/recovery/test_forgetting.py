"""A Redis that loses what it had confirmed, while a worker runs: rows and offsets are lost together, and come back."""

from __future__ import annotations

import dataclasses
import itertools
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from consumers import worker
from producers.messages import Message
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter.model.census import Census, merged
from segmenter.settings import Settings
from segmenter.store.connection import connect
from segmenter.store.models import publish as publish_model
from segmenter.store.models import read_model
from segmenter.store.recount import recount
from segmenter.store.shards import read_shards
from tests.loop.helpers import folded, profiles, rows
from tests.loop.plainly import profiles_of
from tests.recovery.own_redis import OwnRedis
from tests.threads import Threads

USERS = 350
COMMIT_ROWS = 50
"""So few that there are many commits."""

LAST_COMMITS = 8
"""How many commits a cut takes at most."""

BEFORE, WHILE = (list(generate(2_000, USERS, seed=seed)) for seed in (1, 2))

Until = Callable[[Callable[[], object]], None]


@pytest.fixture
def settings(settings: Settings, redis: OwnRedis) -> Settings:
    """The parts of the other tests but for Redis, and small commits."""
    return dataclasses.replace(settings, redis_url=redis.url, commit_rows=COMMIT_ROWS)


@contextmanager
def running(environment: dict[str, str], log: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process that is the same from the beginning of the block to its end."""
    command = [sys.executable, "-m", "segmenter", "worker", *options]
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environment | {"SEGMENTER_COMMIT_ROWS": str(COMMIT_ROWS)}, stderr=out)
    try:
        yield process
        assert process.poll() is None, log.read_text("utf-8")
    finally:
        process.terminate()
        process.wait()


def versions(redis: OwnRedis, settings: Settings, folder: Path) -> int:
    """How many writes there have been, according to the files; nobody else writes meanwhile."""
    with redis.twin(folder) as twin:
        own = dataclasses.replace(settings, redis_url=twin.url)
        with closing(connect(own)) as client:
            return sum(state.version for state in read_shards(client, own).values())


def forget(redis: OwnRedis, settings: Settings, folder: Path, damage: Callable[[], object]) -> int:
    """Kill Redis, damage its files, and start it again. Returns how many commits that cost."""
    redis.kill()
    before = versions(redis, settings, folder / "before")
    damage()
    lost = before - versions(redis, settings, folder / "after")
    redis.restart()
    return lost


Content = tuple[dict[bytes, tuple[object, ...]], Census]


def found(settings: Settings) -> Content:
    """All of each row but its offsets, and the census."""
    with closing(connect(settings)) as client:
        census = merged(state.census for state in read_shards(client, settings).values())
    kept = {user: (row.segment, row.generation, row.profile, row.vector) for user, row in rows(settings).items()}
    return kept, census


def undisturbed(settings: Settings) -> Content:
    """What a single run makes of the same topics, judging by the same generation, under another prefix."""
    calm = dataclasses.replace(settings, key_prefix="calm", group=f"{settings.group}.calm")
    with closing(connect(settings)) as client:
        pinned = read_model(client, settings)
        assert pinned is not None and publish_model(client, calm, pinned, None)
    worker.run(calm, once=True, may_refit=False)
    return found(calm)


def assert_consistent(settings: Settings) -> None:
    """Census and audiences are what the rows say."""
    with closing(connect(settings)) as client:
        for number, state in read_shards(client, settings).items():
            assert not state.dirty and recount(client, settings, number, state.space) == (state.census, [])


def assert_exact(settings: Settings, messages: Sequence[Message]) -> None:
    assert profiles(settings) == profiles_of(messages)


def test_cut_tails_are_read_again(
    settings: Settings, environment: dict[str, str], redis: OwnRedis, until: Until, tmp_path: Path
) -> None:
    """No further event comes, so only the heartbeat can notice; the end is that of an undisturbed run."""
    publish(settings, BEFORE)
    worker.run(settings, once=True)
    with running(environment, tmp_path / "log", "--no-refit"):
        publish(settings, WHILE)
        until(lambda: folded(settings) == 4_000)
        for seed in (1, 2, 3):
            rng = random.Random(seed)
            lost = forget(redis, settings, tmp_path / str(seed), lambda: redis.cut_commits(rng, LAST_COMMITS))  # noqa: B023
            assert lost > 0
            print(f"seed {seed}: {lost} commits lost")
            until(lambda: folded(settings) == 4_000)
    assert '"event": "shards released"' in (tmp_path / "log").read_text("utf-8")
    assert found(settings) == undisturbed(settings)
    assert_exact(settings, BEFORE + WHILE)
    assert_consistent(settings)


def keep_publishing(settings: Settings, stop: threading.Event) -> list[Message]:
    """Publish a batch about ten times a second until asked to stop, and return what was published."""
    published: list[Message] = []
    for seed in itertools.count(10):
        if stop.wait(0.1):
            break
        batch = list(generate(300, USERS, seed=seed))
        publish(settings, batch)
        published += batch
    return published


def test_cuts_under_load_with_refits(
    settings: Settings, environment: dict[str, str], redis: OwnRedis, until: Until, tmp_path: Path
) -> None:
    """Events keep coming and the model moves: the aggregates are exact, and everyone is judged by one generation."""
    rng, stop = random.Random(4), threading.Event()
    with running(environment, tmp_path / "log"), Threads() as pool, ExitStack() as at_end:
        at_end.callback(stop.set)
        publishing = pool.submit(keep_publishing, settings, stop)
        for strike in range(3):
            enough = folded(settings) + 400
            until(lambda: folded(settings) > enough)  # noqa: B023
            assert forget(redis, settings, tmp_path / str(strike), lambda: redis.cut_commits(rng, LAST_COMMITS)) > 0
        assert not publishing.done()
        stop.set()
        events = publishing.result()
        until(lambda: folded(settings) == len(events))
    worker.run(settings, once=True)
    with closing(connect(settings)) as client:
        model = read_model(client, settings)
    assert model is not None and {row.generation for row in rows(settings).values()} == {model.number}
    assert_exact(settings, events)
    assert folded(settings) == len(events)
    assert_consistent(settings)


def test_an_older_copy_is_read_on_from(
    settings: Settings, environment: dict[str, str], redis: OwnRedis, until: Until, tmp_path: Path
) -> None:
    """The copy is from before the worker came: it does not know the owner, nor much of what was read."""
    publish(settings, BEFORE)
    worker.run(settings, once=True)
    redis.copy()
    with running(environment, tmp_path / "log", "--no-refit"):
        publish(settings, WHILE)
        until(lambda: folded(settings) == 4_000)
        lost = forget(redis, settings, tmp_path, redis.put_back)
        until(lambda: folded(settings) == 4_000)
    print(f"{lost} commits lost")
    assert lost > 2
    assert found(settings) == undisturbed(settings)
    assert_exact(settings, BEFORE + WHILE)
    assert_consistent(settings)


def test_an_emptied_redis_is_filled_again(
    settings: Settings, environment: dict[str, str], until: Until, tmp_path: Path
) -> None:
    """It starts again where the log does, and says so, in a new group; rules and layout are back, with a new model."""
    publish(settings, BEFORE)
    with running(environment, tmp_path / "log"), closing(connect(settings)) as client:
        until(lambda: folded(settings) == 2_000 and read_model(client, settings))
        before = client.hgetall(f"{settings.key_prefix}:meta")
        client.flushall()
        until(lambda: folded(settings) == 2_000 and read_model(client, settings))
        publish(settings, WHILE)
        until(lambda: folded(settings) == 4_000)
        after = client.hgetall(f"{settings.key_prefix}:meta")
    worker.run(settings, once=True)
    said = (tmp_path / "log").read_text("utf-8")
    assert said.count("a new shard begins where the log does") >= 2 * settings.partitions
    assert "the workers have moved to the group" in said
    assert {name: after[name] for name in (b"rules", b"layout")} == {
        name: before[name] for name in (b"rules", b"layout")
    }
    assert_exact(settings, BEFORE + WHILE)
    assert_consistent(settings)
