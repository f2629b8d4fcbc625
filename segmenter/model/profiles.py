"""The running aggregates of one user: what they are, and how they are written.

Counts and sums form a group (zero, plus, minus); the first and the last time are a minimum and a maximum.
`segmenter.model.folding` adds events to them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from segmenter.kinds import Kind

TIMES = ("first_ms", "last_ms")
"""The last fields of every profile."""

Profile = tuple[int, ...]
"""One user's aggregates, in the order of `fields`."""

LARGEST = 2**62
"""No count and no time of a row comes near this; beyond it the arithmetic would overflow."""

_Bounded = Annotated[int, msgspec.Meta(ge=-LARGEST, le=LARGEST)]
_Sum = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

NUMBERS = msgspec.json.Decoder(dict[str, _Bounded])
"""Decodes numbers by name; made once, since that takes longer than to decode."""


@cache
def fields(kinds: tuple[Kind, ...]) -> tuple[str, ...]:
    """All fields of a profile, in their order: those of the kinds, and then `TIMES`."""
    return (*[field for kind in kinds for field in kind.fields], *TIMES)


def encode(profile: Sequence[int], names: Sequence[str]) -> bytes:
    """A profile as compact JSON by the names of its fields, as a Redis row keeps it.

    >>> encode((3, 10, 20), ("searches", "first_ms", "last_ms"))
    b'{"searches":3,"first_ms":10,"last_ms":20}'
    """
    return msgspec.json.encode(dict(zip(names, profile, strict=True)))


@cache
def decoder(kinds: tuple[Kind, ...]) -> Callable[[bytes], Profile]:
    """A function from the bytes of `encode` to the profile. It raises ValueError for bytes that are no profile.

    The fields of a kind that was added after these bytes were written are zero.

    >>> from segmenter.kinds import DEFAULT
    >>> decoder(DEFAULT[1:])(b'{"searches":3,"first_ms":10,"last_ms":20}')
    (3, 0, 0, 0, 10, 20)
    """
    sums = {kind.fields[-1] for kind in kinds if kind.measure == "amount"}
    names = fields(kinds)[:-2]
    of_kinds = [(name, (_Sum if name in sums else _Bounded) | UnsetType, UNSET) for name in names]
    shape = msgspec.defstruct("Stored", [*[(name, _Bounded) for name in TIMES], *of_kinds], forbid_unknown_fields=True)
    parse = msgspec.json.Decoder(shape).decode

    def decode(stored: bytes) -> Profile:
        first_ms, last_ms, *numbers = msgspec.structs.astuple(parse(stored))
        if UNSET in numbers:
            numbers = _with_zeros(dict(zip(names, numbers, strict=True)), kinds)
        return (*numbers, first_ms, last_ms)

    return decode


def _with_zeros(found: dict[str, int | UnsetType], kinds: tuple[Kind, ...]) -> list[int]:
    """The numbers, zero for kinds of which there is none. Raises ValueError if there are some of a kind only."""
    for kind in kinds:
        missing = [field for field in kind.fields if found[field] is UNSET]
        if missing and len(missing) < len(kind.fields):
            raise ValueError(f"the profile has no {missing[0]!r}")
    return [number if isinstance(number, int) else 0 for number in found.values()]
