"""kill -9 at every crash point of worker and sink, one by one: what is left equals pandas, and an undisturbed run."""

from __future__ import annotations

import dataclasses
import json
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import msgspec
import pytest

from consumers import worker
from producers.messages import Message
from producers.publish import publish
from segmenter.crash_points import SINK_POINTS, WORKER_POINTS
from segmenter.model.generation import Generation
from segmenter.settings import Settings
from segmenter.store.connection import Redis, connect
from segmenter.store.keys import Keys
from segmenter.store.models import publish as publish_model
from segmenter.store.models import read_model
from segmenter.store.shards import read_shards
from segmenter.topics.dead_letters import read_dead_letters
from tests.chaos import events
from tests.chaos.processes import Child, command, environment_of
from tests.chaos.verdict import digests, undisturbed
from tests.loop.helpers import differences

EVENTS, USERS, AT_ONCE = 4_000, 300, 300
BROKEN = 0.3
"""So many records are invalid that hardly any commit has none."""
BY_ITSELF = [point for point in WORKER_POINTS if point not in ("sweep", "recount")]

pytestmark = pytest.mark.timeout(600)  # each point is a process that starts, joins a group and dies

Until = Callable[[Callable[[], object]], None]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    events.write(tmp_path / "events.jsonl", EVENTS, USERS, seed=5, broken=BROKEN)
    return tmp_path / "events.jsonl"


@pytest.fixture
def small(settings: Settings) -> Settings:
    """Commits of few users, so that a poll has many."""
    return dataclasses.replace(settings, commit_rows=20)


@pytest.fixture
def client(small: Settings) -> Iterator[Redis]:
    client = connect(small)
    yield client
    for key in client.scan_iter(f"{small.key_prefix}calm:*"):
        client.delete(key)
    client.close()


def start(verb: str, name: str, settings: Settings, folder: Path) -> Child:
    """A process in a group of its own: the broker need not first notice that the one before is dead."""
    alone = dataclasses.replace(settings, group=f"{settings.group}.{name}")
    child = Child(name, verb, environment_of(alone), folder)
    child.start()
    return child


def dies(child: Child, point: str) -> None:
    child.order(point)
    code = child.died()
    assert code == -signal.SIGKILL, child.said()
    assert child.strikes.get(timeout=10).point == point


def turned(client: Redis, settings: Settings) -> Generation:
    """A generation that puts most users in another segment."""
    model = read_model(client, settings)
    assert model is not None
    after = msgspec.structs.replace(model, number=model.number + 1, centres=model.centres[::-1])
    assert publish_model(client, settings, after, model)
    return after


def half_fail(client: Redis, settings: Settings, folder: Path, until: Until) -> None:
    """Make a commit script fail half-way, since a string stands where a stream should be; then put the stream back."""
    feed = Keys(settings.key_prefix).feed(0)
    client.rename(feed, f"{feed}:aside")
    client.set(feed, "no stream")
    child = start("worker --no-refit", "half-failed", settings, folder)
    until(lambda: read_shards(client, settings)[0].dirty and "WRONGTYPE" in child.said())
    child.kill()
    client.rename(f"{feed}:aside", feed)


def test_a_worker_killed_at_every_step(
    small: Settings, client: Redis, file: Path, tmp_path: Path, until: Until
) -> None:
    """With a script that fails half-way in between: its shard is dirty, and recounted when it is opened.

    Each invalid record is a dead letter, also of a commit after which the worker was killed.
    """
    records: Iterator[Message] = events.messages(file)
    publish(small, islice(records, AT_ONCE))
    worker.run(small, once=True)
    for point in BY_ITSELF:
        publish(small, islice(records, AT_ONCE))
        dies(start("worker --no-refit", point, small, tmp_path), point)
    turned(client, small)
    dies(start("worker --no-refit", "sweep", small, tmp_path), "sweep")
    publish(small, records)
    model = turned(client, small)
    half_fail(client, small, tmp_path, until)
    dies(start("worker --no-refit", "recount", small, tmp_path), "recount")
    command("worker --once --no-refit", environment_of(small))
    letters = read_dead_letters(small)  # before another run publishes them again
    found, calm, expected = digests(small), undisturbed(client, small, model), events.expected(file)
    assert found["aggregates"] == expected.aggregates
    assert found == calm
    assert differences(small) == []
    assert events.invalid(file) == Counter(
        (letter.topic.removeprefix(small.topic_prefix), letter.key or "", letter.length) for letter in letters
    )
    counts = [state.counts for state in read_shards(client, small).values()]
    assert sum(count.folded for count in counts) == EVENTS
    assert sum(count.duplicates for count in counts) == expected.events - EVENTS
    assert sum(sum(count.dead_letters.values()) for count in counts) == expected.records - expected.events


def test_a_sink_killed_at_every_step(small: Settings, file: Path, tmp_path: Path) -> None:
    """Every event is in the warehouse once, and the batch summary is what the stream says."""
    records = events.messages(file)
    for point in SINK_POINTS:
        publish(small, islice(records, AT_ONCE))
        dies(start("sink", point, small, tmp_path), point)
    publish(small, records)
    environment = environment_of(small)
    command("sink --once", environment)
    command("worker --once", environment)
    command("snapshot", environment)
    verdict = json.loads(command("reconcile --json", environment).stdout)
    assert [verdict[name] for name in ("compared", "differing", "missing", "extra")] == [USERS, 0, 0, 0]
    assert digests(small)["aggregates"] == events.expected(file).aggregates
