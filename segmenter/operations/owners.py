"""Writing to shards from outside their workers: by commands to living owners, or by acquiring shards without one."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice

from segmenter.errors import Fenced, SegmenterError, Unreachable
from segmenter.model.generation import Generation, digest
from segmenter.shards.state import Commit, ShardState
from segmenter.store.commands import Command, Pause, Reply, Rewrite, Write, await_reply, send_command, withdraw_command
from segmenter.store.connection import Store, clock_ms
from segmenter.store.shards import acquire_shard, commit_shard, read_stored_shards

REPLY_SECONDS = 30.0
"""How long an owner may take to reply; it reads commands once a second, and between two batches."""

CHECK_SECONDS = 3.0
"""How often to check meanwhile that the owner is alive."""

PAUSE_SECONDS = 15.0
"""How long a shard stays paused when the process that paused it is gone."""

COMMITS_A_COMMAND = 16
"""The most commits that one command asks for."""


@dataclass
class ExclusiveShard:
    """A shard to which nobody else writes: paused, or acquired by us."""

    number: int
    state: ShardState
    owned: bool
    """By a worker, which writes for us."""


def with_living_owner(store: Store, numbers: Collection[int]) -> set[int]:
    """Those of the shards that are not parked and whose owner has sent a heartbeat lately."""
    now_ms = clock_ms(store.client)
    states = {number: stored.state for number, stored in read_stored_shards(*store).items() if number in numbers}
    return {
        number
        for number, state in states.items()
        if not state.parked and now_ms - state.beat_ms <= store.settings.stale_after_ms
    }


@contextmanager
def paused(store: Store, numbers: Collection[int]) -> Iterator[None]:
    """Pause shards: their owners write only what commands ask, and their records wait in the log.

    Raises `Unreachable` when an owner does not reply, and `Fenced` when one is gone meanwhile.
    """
    ended = threading.Event()
    renewal = threading.Thread(target=_renew_pauses, args=(store, numbers, ended), daemon=True)
    renewal.start()
    try:
        sent = {number: Pause(_pause_end(store), secrets.token_hex(8)) for number in numbers}
        for number, command in sent.items():
            send_command(store.client, store.settings, number, command)
        for number, command in sent.items():
            _await_reply(store, number, command)
        yield
    finally:
        ended.set()
        renewal.join()
        for number in numbers:
            send_command(store.client, store.settings, number, Pause(0))


def _renew_pauses(store: Store, numbers: Collection[int], ended: threading.Event) -> None:
    while not ended.wait(PAUSE_SECONDS / 3):
        with suppress(SegmenterError):  # if it stays so, the shard's version moves on, and that is noticed
            for number in numbers:
                send_command(store.client, store.settings, number, Pause(_pause_end(store)))


def _pause_end(store: Store) -> int:
    return clock_ms(store.client) + int(PAUSE_SECONDS * 1000)


@contextmanager
def exclusive(store: Store, numbers: Collection[int]) -> Iterator[dict[int, ExclusiveShard]]:
    """Shards that we alone may write to: those of living owners are paused, the others are acquired.

    Raises `Corrupt` when something of one cannot be read, and `Fenced` when an owner is gone meanwhile.
    """
    owned = with_living_owner(store, numbers)
    with paused(store, owned):
        yield {
            number: ExclusiveShard(number, _state_by_owner(store, number), owned=True)
            if number in owned
            else ExclusiveShard(number, acquire_shard(store.client, store.settings, number), owned=False)
            for number in sorted(numbers)
        }


def _state_by_owner(store: Store, number: int) -> ShardState:
    """The state of a shard with a living owner, who writes it again if something of it cannot be read."""
    stored = read_stored_shards(*store).get(number)
    if stored and stored.unreadable:
        command = Rewrite(secrets.token_hex(8), stored.unreadable.get("offsets"))
        send_command(store.client, store.settings, number, command)
        if not _await_reply(store, number, command).done:
            raise _changed(number)
        stored = read_stored_shards(*store).get(number)
    if stored is None:
        raise _changed(number)
    if stored.corrupt:
        raise stored.corrupt
    return stored.state


def write(store: Store, shard: ExclusiveShard, commits: Iterable[Commit], generation: Generation | None) -> None:
    """Make commits, one after the other, each as a whole. Raises `Fenced` when another process wrote in between.

    The commits made before that stay.
    """
    judged_by = digest(generation) if generation else ""
    if shard.owned:
        rest = iter(commits)
        while several := list(islice(rest, COMMITS_A_COMMAND)):
            _write_by_owner(store, shard, several, judged_by)
        return
    for commit in commits:
        outcome, after = commit_shard(store.client, store.settings, shard.number, shard.state, commit, judged_by)
        if outcome not in ("ok", "done"):
            raise _changed(shard.number)
        shard.state = after


def _write_by_owner(store: Store, shard: ExclusiveShard, commits: list[Commit], judged_by: str) -> None:
    command = Write(shard.state.token, shard.state.version, judged_by, commits, secrets.token_hex(8))
    send_command(store.client, store.settings, shard.number, command)
    reply = _await_reply(store, shard.number, command)
    if not reply.done:
        raise _changed(shard.number)
    shard.state = shard.state._replace(version=reply.version).recounted()


def _await_reply(store: Store, number: int, command: Command) -> Reply:
    deadline = time.monotonic() + REPLY_SECONDS
    while time.monotonic() < deadline:
        reply = await_reply(store.client, store.settings, command, CHECK_SECONDS)
        if reply is not None:
            return reply
        if not with_living_owner(store, {number}):
            withdraw_command(store.client, store.settings, number, command)
            raise Fenced(f"the owner of shard {number} is gone: try again")
    withdraw_command(store.client, store.settings, number, command)
    raise Unreachable(
        f"the owner of shard {number} did not reply within {REPLY_SECONDS:.0f} s: is its worker healthy? See "
        "`segmenter status`, and try again."
    )


def _changed(number: int) -> Fenced:
    return Fenced(f"shard {number} was written to meanwhile: try again")
