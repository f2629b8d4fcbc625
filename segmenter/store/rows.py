"""A user's row: how it is written, read and found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

import msgspec
import redis

from segmenter.errors import SegmenterError
from segmenter.events import shown
from segmenter.model import profiles
from segmenter.model.features import FEATURES
from segmenter.settings import Settings
from segmenter.shards.row import FIELDS, Row, decode
from segmenter.store.connection import reaching
from segmenter.store.keys import Keys
from segmenter.store.scripts import script

_LARGEST_NUMBER, _LARGEST_COORDINATE = 2**62, 2**31
"""No number in a profile, and none in a vector, comes near these; beyond them the arithmetic would overflow."""


def sound(user: bytes, values: Sequence[bytes | None]) -> Row | None:
    """`decode`; values that are none of a row's are a `SegmenterError` that names the user."""
    try:
        return decode(user, values)
    except ValueError as error:
        raise SegmenterError(
            f"the row of user {shown(user)} in Redis cannot be read ({error}): run `segmenter verify --repair`."
        ) from error


def read_rows(client: redis.Redis, settings: Settings, users: Sequence[bytes]) -> list[Row | None]:
    """The rows of ``users``, in one round trip."""
    keys = Keys(settings.key_prefix)
    with reaching(client):
        found = cast("list[list[bytes | None]]", script(client, "rows")(keys=[keys.user(user) for user in users]))
    return [sound(user, values) for user, values in zip(users, found, strict=True)]


def scan_rows(client: redis.Redis, settings: Settings) -> Iterator[list[Row]]:
    """Every row that exists throughout the scan, once, in batches, while others write."""
    for users in scan_users(client, settings):
        yield [row for row in read_rows(client, settings, users) if row is not None]


def scan_users(client: redis.Redis, settings: Settings) -> Iterator[list[bytes]]:
    """Every user whose row exists throughout the scan, once, in batches, while others write."""
    prefix = Keys(settings.key_prefix).users()
    seen: set[bytes] = set()
    cursor = 0
    while True:
        with reaching(client):
            cursor, found = client.scan(cursor, match=prefix + b"*", count=1_000)
        users = [key[len(prefix) :] for key in cast("dict[bytes, None]", dict.fromkeys(found))]
        fresh = [user for user in users if user not in seen]
        seen.update(fresh)
        yield fresh
        if cursor == 0:
            return


class Essence(NamedTuple):
    """What all else in a row follows from."""

    profile: profiles.Profile
    offsets: dict[str, int]
    """The last offset applied, by topic."""


class Found(NamedTuple):
    """What is under one user's key."""

    row: Row | None
    """None if it is not whole, or holds what no row holds."""
    essence: Essence | None
    """None if not even that can be read."""


def read_found(client: redis.Redis, settings: Settings, users: Sequence[bytes]) -> dict[bytes, Found]:
    """What is under the keys of ``users``; one that has no field of a row is not there."""
    keys = Keys(settings.key_prefix)
    with reaching(client):
        pipeline = client.pipeline(transaction=False)
        for user in users:
            pipeline.hmget(keys.user(user), FIELDS)
        answers = pipeline.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, Exception) and not str(answer).startswith("WRONGTYPE"):
                raise answer
    found = zip(users, answers, strict=True)
    return {user: _found(user, answer) for user, answer in found if answer != [None] * len(FIELDS)}


def _found(user: bytes, answer: object) -> Found:
    if isinstance(answer, Exception):
        return Found(None, None)
    row = essence = None
    values = cast("list[bytes | None]", answer)
    _, _, profile, offsets, _ = values
    try:
        essence = _essence(profile or b"", offsets or b"")
        row = decode(user, values)
    except (ValueError, KeyError, msgspec.MsgspecError):
        pass
    if row is not None and (len(row.vector) != len(FEATURES) or max(map(abs, row.vector)) > _LARGEST_COORDINATE):
        row = None
    return Found(row, essence)


def _essence(profile: bytes, offsets: bytes) -> Essence:
    """Raises ValueError, KeyError or MsgspecError for what is none."""
    essence = Essence(profiles.decode(profile), msgspec.json.decode(offsets, type=dict[str, int]))
    if max(map(abs, (*essence.profile, *essence.offsets.values()))) > _LARGEST_NUMBER:
        raise ValueError("out of bounds")
    return essence
