"""Reading the rows of users, and finding them."""

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


def _decode(user: bytes, values: Sequence[bytes | None]) -> Row | None:
    """`decode`, but other values are a `SegmenterError` that names the user."""
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
    return [_decode(user, values) for user, values in zip(users, found, strict=True)]


def scan_rows(client: redis.Redis, settings: Settings) -> Iterator[list[Row]]:
    """Every row that exists during the whole scan, once, in chunks, while others write."""
    for users in scan_users(client, settings):
        yield [row for row in read_rows(client, settings, users) if row is not None]


def scan_users(client: redis.Redis, settings: Settings) -> Iterator[list[bytes]]:
    """Every user whose row exists during the whole scan, once, in chunks, while others write."""
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


class Basis(NamedTuple):
    """The part of a row from which the rest follows."""

    profile: profiles.Profile
    offsets: dict[str, int]
    """The last offset applied, by topic."""


class StoredRow(NamedTuple):
    """A row as it is found, sound or not."""

    row: Row | None
    """None if it is incomplete, or holds what no row can hold."""
    basis: Basis | None
    """None if not even this can be read."""


def read_stored_rows(client: redis.Redis, settings: Settings, users: Sequence[bytes]) -> dict[bytes, StoredRow]:
    """The rows of ``users`` as they are found, to be checked; users without any field of a row are absent."""
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
    return {user: _stored(user, answer) for user, answer in found if answer != [None] * len(FIELDS)}


def _stored(user: bytes, answer: object) -> StoredRow:
    if isinstance(answer, Exception):
        return StoredRow(None, None)
    row = basis = None
    values = cast("list[bytes | None]", answer)
    _, _, profile, offsets, _ = values
    try:
        basis = _basis(profile or b"", offsets or b"")
        row = decode(user, values)
    except (ValueError, KeyError, msgspec.MsgspecError):
        pass
    if row is not None and (len(row.vector) != len(FEATURES) or max(map(abs, row.vector)) > _LARGEST_COORDINATE):
        row = None
    return StoredRow(row, basis)


def _basis(profile: bytes, offsets: bytes) -> Basis:
    """Raises ValueError, KeyError or MsgspecError for other values."""
    basis = Basis(profiles.decode(profile), msgspec.json.decode(offsets, type=dict[str, int]))
    if max(map(abs, (*basis.profile, *basis.offsets.values()))) > _LARGEST_NUMBER:
        raise ValueError("out of bounds")
    return basis
