"""A user's row: how it is written, read and found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

import msgspec
import redis

from segmenter import profiles, vectors
from segmenter.errors import SegmenterError
from segmenter.reconcile import shown
from segmenter.settings import Settings
from segmenter.store.connection import reaching
from segmenter.store.keys import Keys
from segmenter.store.scripts import script

FIELDS = ("segment", "generation", "profile", "offsets", "vector")
"""The fields of a row in Redis, in the order that everything here uses."""


class Row(NamedTuple):
    """What is kept of one user."""

    user: bytes
    segment: str
    """The slug of the segment the user is in."""
    generation: int
    """The generation that judged so; 0 before the first."""
    profile: profiles.Profile
    offsets: dict[str, int]
    """The last offset applied, by topic."""
    vector: tuple[int, ...]
    """What this row gave to the census."""


def encode(row: Row) -> tuple[bytes | str | int, ...]:
    """The values of `FIELDS`."""
    return (
        row.segment,
        row.generation,
        profiles.encode(row.profile),
        msgspec.json.encode(row.offsets),
        vectors.encode(row.vector),
    )


def decode(user: bytes, values: Sequence[bytes | None]) -> Row | None:
    """The row of these values of `FIELDS`, None for a user without one."""
    segment, generation, profile, offsets, vector = values
    if segment is None or generation is None or profile is None or offsets is None or vector is None:
        return None
    return Row(
        user,
        segment.decode(),
        int(generation),
        profiles.decode(profile),
        msgspec.json.decode(offsets, type=dict[str, int]),
        vectors.decode(vector.decode()),
    )


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
