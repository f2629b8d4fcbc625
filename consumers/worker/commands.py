"""How the owner of shards executes the commands of other processes; see `segmenter.store.commands`."""

from __future__ import annotations

import structlog

from consumers.worker.membership import Membership
from consumers.worker.owned_shard import OwnedShard, Superseded, write
from segmenter.errors import Corrupt
from segmenter.model.generation import Generation, digest
from segmenter.shards.state import Commit
from segmenter.store.commands import (
    Command,
    Pause,
    Reply,
    Rewrite,
    Write,
    decode_command,
    finish_command,
    pending_commands,
)
from segmenter.store.connection import Store

log = structlog.get_logger()


def execute_commands(store: Store, membership: Membership, generation: Generation | None) -> None:
    """Execute the pending commands of the owned shards in their order, and resume shards whose pause is over.

    A command that cannot be decoded is dropped, with a warning. Raises `Fenced` when a shard is no longer as it was
    left; its commands then stay for the next owner, as do those of a shard that is parked on the way.
    """
    now_ms, pending = pending_commands(store.client, store.settings, membership.shards)
    for number, commands in pending.items():
        with membership.parking(number):
            if isinstance(commands, Corrupt):
                raise commands
            for encoded in commands:
                _execute_one(store, membership, membership.shards[number], encoded, now_ms, generation)
    membership.resume_due()


def _execute_one(
    store: Store,
    membership: Membership,
    shard: OwnedShard,
    encoded: bytes,
    now_ms: int,
    generation: Generation | None,
) -> None:
    try:
        command = decode_command(encoded)
    except ValueError as reason:
        log.warning("a command is dropped", shard=shard.number, reason=str(reason))
        finish_command(store.client, store.settings, shard.number, encoded)
        return
    reply = _execute(store, membership, shard, command, now_ms, generation)
    finish_command(store.client, store.settings, shard.number, encoded, command.id, reply)


def _execute(
    store: Store,
    membership: Membership,
    shard: OwnedShard,
    command: Command,
    now_ms: int,
    generation: Generation | None,
) -> Reply:
    done = True
    if isinstance(command, Pause):
        membership.pause(shard, (command.until_ms - now_ms) / 1000)
    elif isinstance(command, Rewrite):
        done = _make_commits(store, shard, [Commit([], [], shard.state)], generation, command.offsets)
    else:
        done = _write(store, shard, command, generation)
    return Reply(done, shard.state.version)


def _write(store: Store, shard: OwnedShard, command: Write, generation: Generation | None) -> bool:
    """Make the commits of a command if the shard is as it says; returns whether all were made."""
    if (command.token, command.version) != (shard.state.token, shard.state.version):
        return False
    if command.digest != (digest(generation) if generation else ""):
        return False
    return _make_commits(store, shard, command.commits, generation)


def _make_commits(
    store: Store,
    shard: OwnedShard,
    commits: list[Commit],
    generation: Generation | None,
    stored_offsets: bytes | None = None,
) -> bool:
    for commit in commits:
        try:
            write(store, shard, commit, generation, stored_offsets)
        except Superseded:
            return False
    log.info("executed a write command", shard=shard.number, commits=len(commits))
    return True
