"""Rows as they are found, sound or not: for those who check them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import msgspec
import redis

from segmenter import profiles
from segmenter.features import FEATURES
from segmenter.settings import Settings
from segmenter.store.connection import reaching
from segmenter.store.keys import Keys
from segmenter.store.rows import FIELDS, Row, decode

_LARGEST_NUMBER, _LARGEST_COORDINATE = 2**62, 2**31
"""No number in a profile, and none in a vector, comes near these; beyond them the arithmetic would overflow."""


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
