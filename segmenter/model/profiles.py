"""The running aggregates of one user: what they are, and how they are written.

Counts and sums form a group (zero, plus, minus); the first and the last time are a minimum and a maximum.
`segmenter.model.folding` adds events to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

GROUP = ("clicks", "clicks_timed", "click_ms", "searches", "views", "views_timed", "view_ms")
"""The fields that add up: counts, and sums of milliseconds."""

FIELDS = (*GROUP, "first_ms", "last_ms")
"""All fields of a profile, in their order."""

KIND_FIELDS = {
    "click": ("clicks", "clicks_timed", "click_ms"),
    "search": ("searches",),
    "view": ("views", "views_timed", "view_ms"),
}
"""The fields that the events of each kind add to, in their order."""

Profile = tuple[int, ...]
"""One user's aggregates, in the order of `FIELDS`."""

LARGEST = 2**62
"""No number of a row comes near this; beyond it the arithmetic would overflow."""

NUMBERS = msgspec.json.Decoder(dict[str, Annotated[int, msgspec.Meta(ge=-LARGEST, le=LARGEST)]])
"""Decodes numbers by name; made once, since that takes longer than to decode."""


def encode(profile: Sequence[int]) -> bytes:
    """A profile as compact JSON by field name, as a Redis row keeps it.

    >>> decode(encode((3, 1, 250, 0, 0, 0, 0, 10, 20)))
    (3, 1, 250, 0, 0, 0, 0, 10, 20)
    """
    return msgspec.json.encode(dict(zip(FIELDS, profile, strict=True)))


def decode(stored: bytes) -> Profile:
    """The profile of `encode`'s bytes. Raises ValueError for others."""
    fields = NUMBERS.decode(stored)
    try:
        return tuple([fields[name] for name in FIELDS])
    except KeyError as missing:
        raise ValueError(f"the profile has no {missing}") from None
