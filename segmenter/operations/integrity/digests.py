"""Digests of all that a store holds, to compare two stores, or a store with a file.

Each is a SHA-256 in hexadecimal. Offsets are in none of them: they do not depend on where the records were.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from segmenter.model import census, profiles, vectors
from segmenter.model.generation import space_of
from segmenter.settings import Settings
from segmenter.store.agreement import unless_kinds_added
from segmenter.store.connection import Redis
from segmenter.store.meta import open_store
from segmenter.store.models import read_model
from segmenter.store.rows import scan_rows
from segmenter.store.shards import audiences, members, read_shards


class Digests(NamedTuple):
    """The digests of a store."""

    users: int
    aggregates: str
    """Over one line a user, sorted by the bytes of the user id: these in hexadecimal, then the profile's numbers."""
    rows: str
    """The same, with segment, generation and vector after the profile."""
    census: str
    """Over the census of all shards together, as JSON."""
    audiences: str
    """Over one line for each user in each audience, sorted: the user id in hexadecimal, then the slug."""


class Judged(NamedTuple):
    """A row without user and offsets."""

    profile: profiles.Profile
    segment: str
    generation: int
    vector: tuple[int, ...]


def digests(
    rows: Iterable[tuple[bytes, Judged]], censuses: Iterable[census.Census], members: Iterable[tuple[bytes, str]]
) -> Digests:
    """The digests of the rows, of the censuses of the shards, and of the members of audiences, each with its slug.

    Each row is given with its user; all are in any order.
    """
    lines = sorted(_line(user, row) for user, row in rows)
    aggregates, whole = hashlib.sha256(), hashlib.sha256()
    for profile, rest in lines:
        aggregates.update(f"{profile}\n".encode())
        whole.update(f"{profile} {rest}\n".encode())
    counted = hashlib.sha256(census.encode(census.merged(censuses)))
    listed = hashlib.sha256()
    for user, slug in sorted(members):
        listed.update(f"{user.hex()} {slug}\n".encode())
    return Digests(len(lines), *(each.hexdigest() for each in (aggregates, whole, counted, listed)))


def _line(user: bytes, row: Judged) -> tuple[str, str]:
    """One user's line, up to the profile and from the segment on.

    >>> _line(b"u1", Judged((1, 1, 250, 0, 0, 0, 0, 10, 20), "low", 3, (5, 0, 7, -1)))
    ('7531 1 1 250 0 0 0 0 10 20', 'low 3 5,0,7,')
    """
    rest = (row.segment, str(row.generation), vectors.encode(row.vector))
    return " ".join([user.hex(), *map(str, row.profile)]), " ".join(rest)


def digest_store(settings: Settings) -> Digests:
    """The digests of the store; exact while nobody writes to it."""
    with open_store(settings) as store, unless_kinds_added(store):
        return _digest(*store)


def _digest(client: Redis, settings: Settings) -> Digests:
    rows = (
        (row.user, Judged(row.profile, row.segment, row.generation, row.vector))
        for batch in scan_rows(client, settings)
        for row in batch
    )
    space = space_of(read_model(client, settings))
    censuses = [state.counted_in(space).census for state in read_shards(client, settings).values()]
    return digests(rows, censuses, _members(client, settings))


def _members(client: Redis, settings: Settings) -> Iterator[tuple[bytes, str]]:
    for shard, slugs in audiences(client, settings, range(settings.partitions)).items():
        for slug in slugs:
            yield from ((user, slug) for user in members(client, settings, shard, slug))
