"""Reading the rows of users, and finding them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

import redis

from segmenter.errors import Corrupt
from segmenter.events import shown
from segmenter.model.profiles import decoder
from segmenter.settings import Settings
from segmenter.shards.row import FIELDS, Basis, DecodeProfile, Row, decode, decode_basis
from segmenter.store.connection import answers_of, reaching
from segmenter.store.keys import Keys
from segmenter.store.scripts import script


def read_rows(client: redis.Redis, settings: Settings, users: Sequence[bytes]) -> list[Row | None]:
    """The rows of ``users``, in one round trip. Raises `Corrupt` for one that cannot be read."""
    keys = Keys(settings.key_prefix)
    try:
        with reaching(client):
            found = cast(
                "list[list[bytes | None]]", script(client, "read_rows")(keys=[keys.user(user) for user in users])
            )
    except Corrupt:
        found = _read_one_by_one(client, settings, users)
    decode_profile = decoder(settings.kinds)
    return [_decode(user, values, decode_profile) for user, values in zip(users, found, strict=True)]


def _decode(user: bytes, values: Sequence[bytes | None], decode_profile: DecodeProfile) -> Row | None:
    """`decode`, but the error names the user."""
    try:
        return decode(user, values, decode_profile)
    except ValueError as error:
        raise Corrupt(f"the row of user {shown(user)} in Redis cannot be read ({error})") from error


def _read_one_by_one(client: redis.Redis, settings: Settings, users: Sequence[bytes]) -> list[list[bytes | None]]:
    """The fields of rows, one of which has a key of another type; raises `Corrupt` for that one."""
    answers = _answers(client, settings, users)
    for user, answer in zip(users, answers, strict=True):
        if isinstance(answer, Corrupt):
            raise Corrupt(f"the row of user {shown(user)} in Redis cannot be read (its key is of another type)")
    return cast("list[list[bytes | None]]", answers)


def _answers(client: redis.Redis, settings: Settings, users: Sequence[bytes]) -> list[list[bytes | None] | Corrupt]:
    keys = Keys(settings.key_prefix)
    pipeline = client.pipeline(transaction=False)
    for user in users:
        pipeline.hmget(keys.user(user), FIELDS)
    return answers_of(client, pipeline)


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


class StoredRow(NamedTuple):
    """A row as it is found, valid or not."""

    row: Row | None
    """None if it is incomplete, or holds what no row can hold."""
    basis: Basis | None
    """None if not even this can be read."""


def read_stored_rows(client: redis.Redis, settings: Settings, users: Sequence[bytes]) -> dict[bytes, StoredRow]:
    """The rows of ``users`` as they are found, to be checked; users without any field of a row are absent."""
    found = zip(users, _answers(client, settings, users), strict=True)
    decode_profile = decoder(settings.kinds)
    return {user: _stored(user, answer, decode_profile) for user, answer in found if answer != [None] * len(FIELDS)}


def _stored(user: bytes, answer: list[bytes | None] | Corrupt, decode_profile: DecodeProfile) -> StoredRow:
    if isinstance(answer, Corrupt):
        return StoredRow(None, None)
    row = basis = None
    _, _, profile, offsets, _ = answer
    try:
        basis = decode_basis(profile or b"", offsets or b"", decode_profile)
        row = decode(user, answer, decode_profile)
    except ValueError:
        pass
    return StoredRow(row, basis)
