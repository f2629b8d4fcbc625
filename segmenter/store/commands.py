"""Commands: how a process that does not own a shard makes its owner do something.

A command is put on the shard's list. The owner reads the list between two batches, executes each command, replies, and
only then removes it. To execute one twice is harmless: a pause lasts until a point in time, and a write names the state
that it builds on.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import cast

import msgspec
import redis

from segmenter.errors import Corrupt
from segmenter.settings import Settings
from segmenter.shards.state import Commit
from segmenter.store.connection import answers_of, reaching
from segmenter.store.keys import Keys

REPLY_SECONDS = 60
"""How long a reply waits to be fetched."""


class Pause(msgspec.Struct, frozen=True, tag="pause"):
    """Until a time, by Redis' clock, write to the shard only what commands ask; a time in the past ends a pause."""

    until_ms: int
    id: str = ""
    """Names the reply; empty if nobody waits for one."""


class Write(msgspec.Struct, frozen=True, tag="write"):
    """Make these commits, one after the other, on the shard as this owner left it at this version.

    None is made if the shard has changed since. If a newer generation is published meanwhile, the commits made before
    stay, and the others are not made; each leaves the shard consistent.
    """

    token: str
    version: int
    digest: str
    """Of the generation that judged; empty for none."""
    commits: list[Commit]
    id: str
    """Names the reply."""


class Rewrite(msgspec.Struct, frozen=True, tag="rewrite"):
    """Write the fields of the shard again, as this owner knows them: some of them cannot be read."""

    id: str
    """Names the reply."""
    offsets: bytes | None = None
    """The stored offsets, if these are what cannot be read."""


Command = Pause | Write | Rewrite


class Reply(msgspec.Struct, frozen=True):
    """What became of a command."""

    done: bool
    """Whether all of it was done."""
    version: int
    """Of the shard, afterwards."""


def send_command(client: redis.Redis, settings: Settings, shard: int, command: Command) -> None:
    """Put a command on a shard's list."""
    with reaching(client):
        client.rpush(Keys(settings.key_prefix).commands(shard), msgspec.json.encode(command))


def withdraw_command(client: redis.Redis, settings: Settings, shard: int, command: Command) -> None:
    """Remove a command, if it is still on the list."""
    with reaching(client):
        client.lrem(Keys(settings.key_prefix).commands(shard), 0, msgspec.json.encode(command).decode())


def await_reply(client: redis.Redis, settings: Settings, command: Command, seconds: float) -> Reply | None:
    """The reply to a command; None if there is none within so many seconds."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        with reaching(client):
            found = client.blpop([Keys(settings.key_prefix).reply(command.id)], timeout=min(left, 1.0))
        if found is not None:
            return msgspec.json.decode(cast("list[bytes]", found)[1], type=Reply)
    return None


def pending_commands(
    client: redis.Redis, settings: Settings, shards: Iterable[int]
) -> tuple[int, dict[int, list[bytes] | Corrupt]]:
    """Redis' clock in milliseconds, and the commands on the lists of these shards, encoded, the oldest first."""
    keys, asked = Keys(settings.key_prefix), list(shards)
    pipeline = client.pipeline(transaction=False)
    pipeline.time()
    for shard in asked:
        pipeline.lrange(keys.commands(shard), 0, -1)
    (seconds, microseconds), *found = answers_of(client, pipeline)
    return seconds * 1000 + microseconds // 1000, dict(zip(asked, found, strict=True))


def decode_command(encoded: bytes) -> Command:
    """The command that was encoded so. Raises ValueError if it is not one of this version."""
    try:
        command: Command = msgspec.json.decode(encoded, type=Command)
    except msgspec.MsgspecError as error:
        raise ValueError(f"it is not a command of this version: {error}") from error
    return command


def finish_command(
    client: redis.Redis, settings: Settings, shard: int, encoded: bytes, id: str = "", reply: Reply | None = None
) -> None:
    """Reply under the command's id, if it has one, and remove the command from the list."""
    keys = Keys(settings.key_prefix)
    with reaching(client):
        pipeline = client.pipeline(transaction=False)
        if id and reply is not None:
            pipeline.rpush(keys.reply(id), msgspec.json.encode(reply))
            pipeline.expire(keys.reply(id), REPLY_SECONDS)
        pipeline.lrem(keys.commands(shard), 1, cast("str", encoded))
        pipeline.execute()
