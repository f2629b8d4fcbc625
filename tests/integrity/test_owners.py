"""Commands to the owner of a shard: a pause is renewed and ended, and nothing is left behind."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from types import SimpleNamespace

import pytest

from segmenter.errors import Fenced, Unreachable
from segmenter.operations import owners
from segmenter.operations.owners import paused
from segmenter.settings import Settings
from segmenter.store.commands import (
    REPLY_SECONDS,
    Command,
    Pause,
    Reply,
    Rewrite,
    await_reply,
    decode_command,
    finish_command,
    pending_commands,
    send_command,
    withdraw_command,
)
from segmenter.store.connection import Store, clock_ms, connect
from segmenter.store.keys import Keys
from tests.threads import Threads

Until = Callable[[Callable[[], object]], None]


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with closing(connect(settings)) as client:
        yield Store(client, settings)


def finish(store: Store, shard: int, replies: int) -> list[Command]:
    """Reply to this many of a shard's commands, the oldest first, as the owner does that has done them."""
    _, pending = pending_commands(*store, [shard])
    encoded = pending[shard]
    assert isinstance(encoded, list)
    commands = [decode_command(each) for each in encoded[:replies]]
    for each, command in zip(encoded, commands, strict=False):
        finish_command(*store, shard, each, command.id, Reply(True, 7))
    return commands


@contextmanager
def obeying(settings: Settings) -> Iterator[dict[int, list[Pause]]]:
    """An owner of all shards that does nothing but to obey; what it was told, by shard."""
    told: dict[int, list[Pause]] = {shard: [] for shard in range(settings.partitions)}
    ended = threading.Event()

    def obey() -> None:
        with closing(connect(settings)) as client:
            while not ended.wait(0.02):
                for shard in told:
                    told[shard] += (
                        each for each in finish(Store(client, settings), shard, 99) if isinstance(each, Pause)
                    )

    with Threads() as pool:
        running = pool.submit(obey)
        try:
            yield told
        finally:
            ended.set()
        running.result()


def test_a_pause_is_renewed_before_it_ends_and_ended_afterwards(
    store: Store, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each shard, however long it takes."""
    waits: list[float] = []

    class Shortened(threading.Event):
        """Each wait for it is noted, and over soon."""

        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout or math.inf)
            return super().wait(0.02)

    monkeypatch.setattr(owners, "threading", SimpleNamespace(Event=Shortened, Thread=threading.Thread))
    with obeying(store.settings) as told:
        with paused(store, {0, 1}):
            until(lambda: all(len(commands) > 3 for commands in told.values()))
        now_ms = clock_ms(store.client)
        until(lambda: all(commands[-1].until_ms <= now_ms for commands in told.values()))
    for commands in told.values():
        renewed = [command.until_ms for command in commands if command.until_ms and not command.id]
        assert len(renewed) >= 3 and renewed == sorted(set(renewed))
    assert max(waits) < owners.PAUSE_SECONDS


@pytest.mark.parametrize(
    ("alive", "error", "match"),
    [(False, Fenced, "is gone"), (True, Unreachable, "did not reply")],
    ids=["gone", "mute"],
)
def test_a_pause_that_no_owner_confirms_is_taken_back(
    store: Store, monkeypatch: pytest.MonkeyPatch, alive: bool, error: type[Exception], match: str
) -> None:
    """The next one finds nothing that would pause the shard."""
    if alive:
        store.client.hset(Keys(store.settings.key_prefix).shard(0), "beat_ms", clock_ms(store.client))
    monkeypatch.setattr(owners, "CHECK_SECONDS", 0.1)
    monkeypatch.setattr(owners, "REPLY_SECONDS", 0.3)
    with pytest.raises(error, match=match), paused(store, {0}):
        raise AssertionError("nobody has confirmed it")
    assert all(isinstance(each, Pause) and each.until_ms == 0 for each in finish(store, 0, 99))


def test_a_command_is_removed_when_it_is_done(store: Store) -> None:
    """That one alone: others that came later wait, also one that is the same. Nothing is left in the end."""
    commands = [Pause(5), Pause(5), Rewrite("a"), Pause(6, "b")]
    for command in commands:
        send_command(*store, 0, command)
    for number in range(len(commands)):
        assert finish(store, 0, 1) == [commands[number]]
        assert store.client.llen(Keys(store.settings.key_prefix).commands(0)) == len(commands) - number - 1
    for command in commands[2:]:
        assert 0 < store.client.ttl(Keys(store.settings.key_prefix).reply(command.id)) <= REPLY_SECONDS <= 60
        assert await_reply(*store, command, 1) == Reply(True, 7)
    assert store.client.keys(f"{store.settings.key_prefix}:*") == []


def test_a_command_is_taken_back_alone(store: Store) -> None:
    """The others that wait are of other processes, and may be older or newer."""
    commands = [Pause(5, "a"), Rewrite("b"), Pause(5, "c")]
    for command in commands:
        send_command(*store, 0, command)
    send_command(*store, 1, commands[1])
    withdraw_command(*store, 0, commands[1])
    assert finish(store, 0, 99) == [commands[0], commands[2]]
    withdraw_command(*store, 0, commands[2])
    assert finish(store, 1, 99) == [commands[1]]


def test_a_command_that_was_taken_back_while_it_was_done_costs_no_other(store: Store) -> None:
    """Who gave up has removed it; what the owner removes then is that one, not the next."""
    given_up, next_one = Rewrite("a"), Rewrite("b")
    for command in (given_up, next_one):
        send_command(*store, 0, command)
    encoded = pending_commands(*store, [0])[1][0]
    assert isinstance(encoded, list)
    withdraw_command(*store, 0, given_up)
    finish_command(*store, 0, encoded[0], given_up.id, Reply(True, 7))
    assert finish(store, 0, 99) == [next_one]


def test_a_reply_that_takes_longer_than_one_question_to_redis_is_still_awaited(store: Store, until: Until) -> None:
    """The owner may be in the middle of a batch."""

    def waits() -> int:
        return int(store.client.info("commandstats").get("cmdstat_blpop", {"calls": 0})["calls"])

    before, command = waits(), Rewrite("a")
    send_command(*store, 0, command)
    with Threads() as pool, closing(connect(store.settings)) as client:
        waiting = pool.submit(await_reply, client, store.settings, command, 60)
        until(lambda: waits() > before + 1 or waiting.done())
        finish(store, 0, 1)
        assert waiting.result() == Reply(True, 7)


def test_a_reply_is_awaited_although_the_connection_breaks(store: Store, until: Until) -> None:
    """It is opened again at once: only a Redis that stays away is an error."""
    command = Rewrite("a")
    send_command(*store, 0, command)
    with Threads() as pool, closing(connect(store.settings)) as client:
        number = str(client.client_id())
        waiting = pool.submit(await_reply, client, store.settings, command, 60)
        until(lambda: any((each["id"], each["cmd"]) == (number, "blpop") for each in store.client.client_list()))
        store.client.client_kill_filter(_id=number)
        until(lambda: waiting.done() or any(each["cmd"] == "blpop" for each in store.client.client_list()))
        finish(store, 0, 1)
        assert waiting.result() == Reply(True, 7)
