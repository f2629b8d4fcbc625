"""One word for all that the store holds, so that two stores, or a store and a file, can be compared at a glance.

Each digest is a SHA-256 in hexadecimal. Offsets are in none: where a record stood is no part of what it says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from segmenter import census, profiles, vectors


class Digests(NamedTuple):
    """What a store amounts to."""

    users: int
    aggregates: str
    """Over the profiles."""
    rows: str
    """Over the profiles, with segment, generation and vector."""
    census: str
    """Over the census of all shards together, as JSON."""


class Judged(NamedTuple):
    """What a row says of its user, without the offsets."""

    profile: profiles.Profile
    segment: str
    generation: int
    vector: tuple[int, ...]


def digests(rows: Mapping[bytes, Judged], censuses: Iterable[census.Census]) -> Digests:
    """The digests of rows by user, and of the censuses of the shards."""
    return Digests(
        users=len(rows),
        aggregates=of_lines({user: row.profile for user, row in rows.items()}),
        rows=of_lines(
            {
                user: (*row.profile, row.segment, row.generation, vectors.encode(row.vector))
                for user, row in rows.items()
            }
        ),
        census=hashlib.sha256(census.encode(census.merged(censuses))).hexdigest(),
    )


def of_lines(values: Mapping[bytes, Iterable[int | str]]) -> str:
    """The SHA-256 over one line a user, sorted by the bytes of the user id: these in hexadecimal, then the values.

    Of a profile that is, in the order of ``profiles.FIELDS``:

    >>> line = b"7531 1 1 250 0 0 0 0 10 20\\n"
    >>> of_lines({b"u1": (1, 1, 250, 0, 0, 0, 0, 10, 20)}) == hashlib.sha256(line).hexdigest()
    True
    """
    digest = hashlib.sha256()
    for user in sorted(values):
        digest.update(" ".join([user.hex(), *map(str, values[user])]).encode() + b"\n")
    return digest.hexdigest()
