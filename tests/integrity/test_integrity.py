"""Integrity on demand: what differs is named, and repaired by the owner, or without one, also under load."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import pytest

from consumers import sink, worker
from consumers.worker.loop import Worker
from producers.messages import Message
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter.events import Event
from segmenter.events.sharding import shard_of
from segmenter.model.generation import digest
from segmenter.operations.integrity.repair import Correction, repair_from_events, repair_shards
from segmenter.operations.integrity.verify import find_differences
from segmenter.operations.owners import paused, with_living_owner
from segmenter.operations.reconcile import Pass, reconcile_and_repair
from segmenter.settings import Settings
from segmenter.shards.state import Commit, Removed
from segmenter.store.commands import Reply, Write, await_reply, send_command
from segmenter.store.connection import Store, connect
from segmenter.store.keys import Keys
from segmenter.store.models import publish as publish_model
from segmenter.store.models import read_model
from segmenter.store.shards import read_shards
from segmenter.topics import ends, event_topics
from tests import verbs
from tests.integrity.spoiling import FOLLOWING, LOST, SLUG, Spoiler
from tests.loop.helpers import START_MS, age_heartbeats, in_background, rows, users_of
from tests.loop.helpers import publish as publish_events
from tests.loop.helpers import working as worker_of
from tests.loop.plainly import profiles_of

EVENTS, USERS = 3_000, 400
BUSY = 200
"""The users who have events all the time, when there is load."""

Until = Callable[[Callable[[], object]], None]


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    client = connect(settings)
    yield Store(client, settings)
    client.close()


@pytest.fixture
def published(store: Store) -> list[Message]:
    """ExclusiveShard in by a worker that is long gone; there is a generation."""
    messages = list(generate(EVENTS, USERS, seed=5))
    publish(store.settings, messages)
    worker.run(store.settings, once=True)
    for number in range(store.settings.partitions):
        store.client.hset(Keys(store.settings.key_prefix).shard(number), "beat_ms", 0)
    return messages


@contextmanager
def working(store: Store, until: Until) -> Iterator[None]:
    """A worker holds all shards."""
    with worker_of(store.settings):
        until(lambda: len(with_living_owner(store, range(store.settings.partitions))) == store.settings.partitions)
        yield


@contextmanager
def load(settings: Settings, published: list[Message]) -> Iterator[None]:
    """More is published all the time, of the busy users, and noted."""

    def go_on(stopping: Callable[[], bool]) -> None:
        seed = 100
        while not stopping():
            some = list(generate(300, BUSY, seed=(seed := seed + 1)))
            publish(settings, some)
            published.extend(some)

    with in_background(go_on):
        yield


def said(store: Store) -> list[str]:
    """Every difference, as a line."""
    return [str(each) for found in find_differences(store).values() for each in found.differences]


def repair(store: Store) -> None:
    found = find_differences(store)
    repair_shards(store, [number for number, each in found.items() if each.differences])


def folded(store: Store) -> int:
    return sum(state.counts.folded for state in read_shards(*store).values())


def profiles(store: Store) -> dict[bytes, tuple[int, ...]]:
    return {user: row.profile for user, row in rows(store.settings).items()}


def user(number: int) -> bytes:
    """A user without events under load."""
    return f"u{BUSY + 1 + number}".encode()


def test_what_is_spoilt_is_named_and_repaired(store: Store, published: list[Message]) -> None:
    """One after the other, with no worker there: the command acquires the shard itself."""
    assert said(store) == []
    before = rows(store.settings)
    for number, what in enumerate(FOLLOWING):
        named = getattr(Spoiler(*store, user(number)), what)()
        assert named in said(store), what
        repair(store)
        assert said(store) == [], what
        assert rows(store.settings) == before, what


def test_before_the_first_generation_everybody_is_unassigned(store: Store) -> None:
    """A row that says otherwise, or names a generation, is named and repaired."""
    publish(store.settings, list(generate(200, 40, seed=5)))
    worker.run(store.settings, once=True, may_refit=False)
    age_heartbeats(store.settings)
    before = rows(store.settings)
    assert read_model(*store) is None and {row.segment for row in before.values()} == {"unassigned"}
    assert said(store) == []
    for number, (what, stored, right) in enumerate(
        [("segment", SLUG, "unassigned"), ("generation", 1, 0), ("segment", "elsewhere", "unassigned")]
    ):
        user = sorted(before)[number]
        store.client.hset(Keys(store.settings.key_prefix).user(user), what, stored)
        shard = shard_of(user, store.settings.partitions)
        assert f"shard {shard}: row {user.decode()} {what} is {stored}, should be {right}" in said(store)
        repair(store)
        assert said(store) == [] and rows(store.settings) == before


def test_the_owner_repairs_under_load(store: Store, published: list[Message], until: Until) -> None:
    """All of it at once, while the worker is busy: it does so itself, keeps its shards, and goes on."""
    before = rows(store.settings)
    with working(store, until), load(store.settings, published):
        until(lambda: folded(store) > EVENTS)
        tokens = {state.token for state in read_shards(*store).values()}
        lasting = [what for what in FOLLOWING if what not in ("census", "dirty", "deleted_audience")]
        named = [getattr(Spoiler(*store, user(number)), what)() for number, what in enumerate(lasting)]
        assert set(named) <= set(said(store))
        repair(store)
        assert said(store) == []
        assert {state.token for state in read_shards(*store).values()} == tokens
    with working(store, until):
        until(lambda: folded(store) == len(published))
        assert said(store) == []
    assert profiles(store) == profiles_of(published)
    quiet_ones = {user(number) for number in range(USERS - BUSY)} & before.keys()
    assert quiet_ones and all(rows(store.settings)[each] == before[each] for each in quiet_ones)


def lost(store: Store) -> None:
    """Spoil what only the events can show, each of another user."""
    for number, what in enumerate(LOST):
        spoiler = Spoiler(*store, user(number))
        before = said(store)
        named = getattr(spoiler, what)()
        assert any(line.startswith(named) for line in set(said(store)) - set(before)), what


def reconciled(store: Store) -> list[Pass]:
    return list(reconcile_and_repair(store.settings, wait_s=60))


def test_reconcile_gives_back_what_was_lost(store: Store, published: list[Message]) -> None:
    """With no worker there. A key that is not a row is first removed, since it follows from nothing."""
    before = rows(store.settings)
    lost(store)
    repair(store)
    assert all("counts folded" in line for line in said(store)) and said(store)
    sink.run(store.settings, once=True)
    first, second = reconciled(store)
    assert (first.result.differing, first.result.missing, first.result.extra) == (1, 3, 1)
    assert (first.repaired, first.moved_on) == (5, 0)
    assert second.result.equal and second.repaired == 0
    assert said(store) == []
    assert profiles(store) == profiles_of(published)
    after = rows(store.settings)
    assert {each: row._replace(offsets={}) for each, row in after.items()} == {
        each: row._replace(offsets={}) for each, row in before.items()
    }


def test_reconcile_repairs_under_load(store: Store, published: list[Message], until: Until) -> None:
    """Also users who have events all the time; nothing counts twice, and nothing is lost."""
    busy = [f"u{number}".encode() for number in range(1, 6)]
    with (
        in_background(lambda stopping: sink.run(store.settings, False, lambda n: None, stopping)),
        working(store, until),
        load(store.settings, published),
    ):
        until(lambda: folded(store) > EVENTS)
        for number, each in enumerate([*busy, *map(user, range(5))]):
            Spoiler(*store, each).profile() if number % 2 else Spoiler(*store, each).deleted_row()
        Spoiler(*store, user(5)).counts()
        done = reconciled(store)
        assert done[-1].result.equal
        assert sum(each.repaired for each in done) >= 5
    with working(store, until):
        until(lambda: folded(store) == len(published))
        assert said(store) == []
    assert profiles(store) == profiles_of(published)


def test_who_has_moved_on_is_left_alone(store: Store, published: list[Message]) -> None:
    """There is an event beyond the cut in the row, or the shard has not come to the cut: the row stays as it is."""
    before = rows(store.settings)
    last = {topic: offset + 1 for topic, offset in before[user(0)].offsets.items()}
    topic = next(iter(last))

    def moved_on(cut: dict[str, int]) -> set[bytes]:
        return repair_from_events(store, {user(0): Correction(None, cut)}, {}).users

    assert moved_on(last | {topic: last[topic] - 1}) == {user(0)}
    assert moved_on(last | {topic: 10**6}) == {user(0)}
    assert rows(store.settings) == before
    assert moved_on(last) == set()
    assert rows(store.settings).keys() == before.keys() - {user(0)}


def test_a_killed_repair_leaves_nothing_half_done(
    store: Store, published: list[Message], environment: dict[str, str], until: Until
) -> None:
    """Killed between two of its writes: each was whole; the worker goes on, and another repair does the rest."""
    keys = Keys(store.settings.key_prefix)
    with working(store, until):
        for number in range(store.settings.partitions):
            for slug in store.settings.segments:
                store.client.delete(keys.audience(number, slug))
        before = len(said(store))
        version = sum(state.version for state in read_shards(*store).values())
        command = [sys.executable, "-m", "segmenter", "verify", "--repair", "--json"]
        process = subprocess.Popen(command, env=environment | {"SEGMENTER_COMMIT_ROWS": "1"}, stdout=subprocess.DEVNULL)
        until(lambda: sum(state.version for state in read_shards(*store).values()) > version + 20)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        publish(store.settings, more := list(generate(300, USERS, seed=6)))
        until(lambda: folded(store) == len(published) + len(more))
        left = said(store)
        assert 0 < len(left) < before and all("audience" in line for line in left)
        repair(store)
        assert said(store) == []
    assert profiles(store) == profiles_of([*published, *more])


def next_generation(store: Store) -> int:
    """Publish a generation that puts users in other segments; returns its number."""
    before = read_model(*store)
    assert before is not None
    after = msgspec.structs.replace(before, number=before.number + 1, centres=before.centres[::-1])
    assert publish_model(*store, after, before)
    return after.number


def test_a_shard_that_is_paused_is_not_written_to(store: Store, published: list[Message], until: Until) -> None:
    """No events, and no judging by a new generation; the other shard goes on, and so does it afterwards."""
    with working(store, until):
        with paused(store, {0}):
            version, other = read_shards(*store)[0].version, read_shards(*store)[1]
            publish(store.settings, more := list(generate(300, USERS, seed=6)))
            until(lambda: read_shards(*store)[1].counts.folded > other.counts.folded)
            number = next_generation(store)
            until(lambda: read_shards(*store)[1].generation == number)
            assert read_shards(*store)[0].version == version
        until(lambda: folded(store) == len(published) + len(more))
        until(lambda: read_shards(*store)[0].generation == number)
    assert profiles(store) == profiles_of([*published, *more])


def test_a_run_that_is_to_end_waits_for_the_end_of_a_pause(
    store: Store, published: list[Message], until: Until
) -> None:
    """It has read all that it was to read, and would only have to judge everyone by the newest generation."""
    settings = store.settings
    goal = ends(settings, event_topics(settings))
    goal[f"{settings.topic_prefix}views", 1] += 1
    ending = Worker(settings, False, False, lambda records: None)
    with in_background(lambda stopping: ending.run(goal, stopping)) as run:
        until(lambda: len(with_living_owner(store, {0, 1})) == 2)
        with paused(store, {0}):
            (paused_one, other), number = read_shards(*store).values(), next_generation(store)
            publish_events(settings, "views", [Event(users_of(settings, 1)[0], START_MS)])
            until(lambda: run.done() or read_shards(*store)[1].counts.folded > other.counts.folded)
            until(lambda: run.done() or read_shards(*store)[1].generation == number)
            beat = read_shards(*store)[1].beat_ms
            until(lambda: run.done() or read_shards(*store)[1].beat_ms > beat)
            assert read_shards(*store)[0].version == paused_one.version
        until(run.done)
    assert {state.generation for state in read_shards(*store).values()} == {number}


def test_a_command_that_cannot_be_decoded_is_dropped(store: Store, published: list[Message], until: Until) -> None:
    """Whatever is on the list, the worker goes on."""
    commands = Keys(store.settings.key_prefix).commands(0)
    for command in (b"", b"\xff", b"[]", b'{"type":"rest"}', b'{"type":"pause"}', b'{"type":"write","version":1}'):
        store.client.rpush(commands, command)
    with working(store, until):
        until(lambda: store.client.llen(commands) == 0)
        publish(store.settings, more := list(generate(100, BUSY, seed=6)))
        until(lambda: folded(store) == len(published) + len(more))


def test_a_write_that_builds_on_another_state_is_refused(store: Store, published: list[Message], until: Until) -> None:
    """Of an earlier version, of another owner, judged by another generation: each would remove a user, and does not."""
    before = rows(store.settings)
    (gone, *_) = (each for each in before if shard_of(each, store.settings.partitions) == 0)
    model = read_model(*store)
    assert model is not None
    with working(store, until):
        state = read_shards(*store)[0]
        commit = Commit([], [], state._replace(census={}), [Removed(gone)])
        right = Write(state.token, state.version, digest(model), [commit], "a")
        wrong = [
            msgspec.structs.replace(right, version=state.version - 1, id="b"),
            msgspec.structs.replace(right, token="another", id="c"),
            msgspec.structs.replace(right, digest="", id="d"),
        ]
        for command in wrong:
            send_command(*store, 0, command)
        for command in wrong:
            assert await_reply(*store, command, 60) == Reply(False, state.version)
        assert rows(store.settings) == before
        assert store.client.ttl(Keys(store.settings.key_prefix).reply("b")) == -2, "fetched once"
        send_command(*store, 0, right)
        assert await_reply(*store, right, 60) == Reply(True, state.version + 1)
        assert rows(store.settings).keys() == before.keys() - {gone}


def ended(environment: dict[str, str], *words: str) -> tuple[int, dict[str, object]]:
    done = verbs.run(*words, "--json", environment=environment)
    return done.returncode, json.loads(done.stdout)


def test_the_command_ends_with_what_it_found(
    store: Store, published: list[Message], environment: dict[str, str]
) -> None:
    """0 and nothing; 1 and what differs; 0 once that is repaired."""
    assert ended(environment, "verify") == (0, {"shards": 2, "users": len(rows(store.settings)), "differences": []})
    Spoiler(*store, user(1)).census()
    code, report = ended(environment, "verify")
    assert code == 1
    assert [each["name"] for each in report["differences"]] == [SLUG]  # type: ignore[attr-defined]
    code, report = ended(environment, "verify", "--repair")
    assert (code, report["repaired"], report["remaining"]) == (0, 1, [])
    Spoiler(*store, user(2)).profile()
    sink.run(store.settings, once=True)
    code, report = ended(environment, "reconcile", "--repair")
    assert code == 0
    assert [(each["differing"], each["repaired"]) for each in report["passes"]] == [(1, 1), (0, 0)]  # type: ignore[attr-defined]
