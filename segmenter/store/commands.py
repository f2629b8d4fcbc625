"""Wishes: how somebody who does not own a shard has its owner do something.

A wish is put on the shard's list. The owner looks there between two batches, does what is wished, says what became of
it, and only then takes it off. To do one twice is harmless: quiet lasts until a point in time, and a write names the
state that it builds on.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import cast

import msgspec
import redis

from segmenter.model.census import Census
from segmenter.settings import Settings
from segmenter.shards.row import Row
from segmenter.shards.state import Change
from segmenter.store.connection import reaching
from segmenter.store.keys import Keys

ANSWER_SECONDS = 60
"""How long an answer waits to be fetched."""


class Quiet(msgspec.Struct, frozen=True, tag="quiet"):
    """Until a time, by Redis' clock, write nothing to the shard but what is wished; a time gone by ends that."""

    until_ms: int
    id: str = ""
    """Where the answer is to go; empty if nobody waits for one."""


class Piece(msgspec.Struct, frozen=True):
    """What one commit writes; all else in the shard stays."""

    rows: list[Row]
    changes: list[Change]
    removed: list[bytes]
    census: Census
    dirty: bool


class Write(msgspec.Struct, frozen=True, tag="write"):
    """Write these pieces, one after the other, onto the shard as it is after this version of this owner, or nothing."""

    token: str
    version: int
    digest: str
    """Of the generation that judged; empty for none."""
    pieces: list[Piece]
    id: str
    """Where the answer is to go."""


Wish = Quiet | Write


class Answer(msgspec.Struct, frozen=True):
    """What became of a wish."""

    granted: bool
    version: int
    """Of the shard, afterwards."""


def wish(client: redis.Redis, settings: Settings, shard: int, wished: Wish) -> None:
    """Put a wish on a shard's list."""
    with reaching(client):
        client.rpush(Keys(settings.key_prefix).wishes(shard), msgspec.json.encode(wished))


def take_back(client: redis.Redis, settings: Settings, shard: int, wished: Wish) -> None:
    """Take a wish off, if it is still there."""
    with reaching(client):
        client.lrem(Keys(settings.key_prefix).wishes(shard), 0, msgspec.json.encode(wished).decode())


def await_answer(client: redis.Redis, settings: Settings, wished: Wish, seconds: float) -> Answer | None:
    """What became of a wish; None if nothing did within so many seconds."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        with reaching(client):
            found = client.blpop([Keys(settings.key_prefix).answer(wished.id)], timeout=min(left, 1.0))
        if found is not None:
            return msgspec.json.decode(cast("list[bytes]", found)[1], type=Answer)
    return None


def look(client: redis.Redis, settings: Settings, shards: Iterable[int]) -> tuple[int, dict[int, list[bytes]]]:
    """Redis' clock in milliseconds, and what is wished of these shards, as it was found."""
    keys, asked = Keys(settings.key_prefix), list(shards)
    with reaching(client):
        pipeline = client.pipeline(transaction=False)
        pipeline.time()
        for shard in asked:
            pipeline.lrange(keys.wishes(shard), 0, -1)
        (seconds, microseconds), *found = pipeline.execute()
    return seconds * 1000 + microseconds // 1000, dict(zip(asked, found, strict=True))


def read(found: bytes) -> Wish:
    """The wish that was found. Raises ValueError for what is none."""
    try:
        wished: Wish = msgspec.json.decode(found, type=Wish)
    except msgspec.MsgspecError as error:
        raise ValueError(f"it is no wish of this version: {error}") from error
    return wished


def done(
    client: redis.Redis, settings: Settings, shard: int, found: bytes, answers: Sequence[tuple[str, Answer]] = ()
) -> None:
    """Say what became of a wish, and take it off the list as it was found."""
    keys = Keys(settings.key_prefix)
    with reaching(client):
        pipeline = client.pipeline(transaction=False)
        for wished, answer in answers:
            pipeline.rpush(keys.answer(wished), msgspec.json.encode(answer))
            pipeline.expire(keys.answer(wished), ANSWER_SECONDS)
        pipeline.lrem(keys.wishes(shard), 1, cast("str", found))
        pipeline.execute()
