"""A row: what Redis keeps of one user, and how it is encoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from segmenter.model import profiles, vectors

FIELDS = ("segment", "generation", "profile", "offsets", "vector")
"""The fields of a row in Redis, in their order."""


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


def decode(user: bytes, values: Sequence[bytes | None]) -> Row | None:
    """The row with these values of `FIELDS`; None if one is missing. Raises ValueError or KeyError for other values."""
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
