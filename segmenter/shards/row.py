"""A row: what Redis keeps of one user, and how it is encoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from segmenter.model import profiles, vectors
from segmenter.model.generation import Space

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
    """Made of the features by which that generation judges; without any before the first."""

    def is_in(self, space: Space) -> bool:
        """Whether the vector is made of the features of this space, not of older ones."""
        return self.generation >= space.since and bool(space.features)

    def fits(self, space: Space) -> bool:
        """Whether the vector has as many numbers as it must have; older ones do not count."""
        return not self.is_in(space) or len(self.vector) == len(space.features)

    def counted(self, space: Space) -> tuple[int, ...]:
        """What this row adds to a census in ``space``: a user judged by older features has none of these."""
        return self.vector if self.is_in(space) else (vectors.MISSING,) * len(space.features)


def encode(row: Row, names: Sequence[str]) -> tuple[bytes | str | int, ...]:
    """The values of `FIELDS`, in their order; ``names`` are the fields of a profile."""
    return (
        row.segment,
        row.generation,
        profiles.encode(row.profile, names),
        msgspec.json.encode(row.offsets),
        vectors.encode(row.vector),
    )


class Basis(NamedTuple):
    """The part of a row from which the rest follows."""

    profile: profiles.Profile
    offsets: dict[str, int]
    """The last offset applied, by topic."""


DecodeProfile = Callable[[bytes], profiles.Profile]
"""What `profiles.decoder` returns."""


def decode(user: bytes, values: Sequence[bytes | None], decode_profile: DecodeProfile) -> Row | None:
    """The row with these values of `FIELDS`; None if there are none. Raises ValueError if no row can hold them."""
    segment, generation, profile, offsets, vector = values
    if segment is None or generation is None or profile is None or offsets is None or vector is None:
        if any(value is not None for value in values):
            raise ValueError("a field is missing")
        return None
    basis = decode_basis(profile, offsets, decode_profile)
    row = Row(user, segment.decode(), int(generation), *basis, vectors.decode(vector.decode()))
    if max(map(abs, row.vector), default=0) > LARGEST_COORDINATE:
        raise ValueError("the vector is not one of a user")
    return row


def decode_basis(profile: bytes, offsets: bytes, decode_profile: DecodeProfile) -> Basis:
    """The basis of a row from its fields. Raises ValueError for values that no row can hold."""
    return Basis(decode_profile(profile), profiles.NUMBERS.decode(offsets))
