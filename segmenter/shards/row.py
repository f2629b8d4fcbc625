"""A row: what Redis keeps of one user, and how it is encoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from segmenter.model import profiles, vectors
from segmenter.model.features import FEATURES

FIELDS = ("segment", "generation", "profile", "offsets", "vector")
"""The fields of a row in Redis, in their order, which `read_rows.lua` and `commit.lua` repeat."""

LARGEST_COORDINATE = 2**31
"""No number in a vector comes near this; beyond it the arithmetic would overflow."""


class Row(NamedTuple):
    """One user."""

    user: bytes
    segment: str
    """The slug of the segment the user is in."""
    generation: int
    """The generation that judged so; 0 before the first."""
    profile: profiles.Profile
    offsets: dict[str, int]
    """The last offset applied, by topic."""
    vector: tuple[int, ...]
    """What this row adds to the census."""


def encode(row: Row) -> tuple[bytes | str | int, ...]:
    """The values of `FIELDS`, in their order."""
    return (
        row.segment,
        row.generation,
        profiles.encode(row.profile),
        msgspec.json.encode(row.offsets),
        vectors.encode(row.vector),
    )


class Basis(NamedTuple):
    """The part of a row from which the rest follows."""

    profile: profiles.Profile
    offsets: dict[str, int]
    """The last offset applied, by topic."""


def decode(user: bytes, values: Sequence[bytes | None]) -> Row | None:
    """The row with these values of `FIELDS`; None if there are none. Raises ValueError if no row can hold them."""
    segment, generation, profile, offsets, vector = values
    if segment is None or generation is None or profile is None or offsets is None or vector is None:
        if any(value is not None for value in values):
            raise ValueError("a field is missing")
        return None
    basis = decode_basis(profile, offsets)
    row = Row(user, segment.decode(), int(generation), *basis, vectors.decode(vector.decode()))
    if len(row.vector) != len(FEATURES) or max(map(abs, row.vector)) > LARGEST_COORDINATE:
        raise ValueError("the vector is not one of a user")
    return row


def decode_basis(profile: bytes, offsets: bytes) -> Basis:
    """The basis of a row from its fields. Raises ValueError for values that no row can hold."""
    return Basis(profiles.decode(profile), profiles.NUMBERS.decode(offsets))
