"""The running aggregates of one user, and how events fold into them.

Counts and sums form a group (zero, plus, minus); the first and the last time are a minimum and a maximum.
Folding is column-wise: a batch of events becomes one row of increments for each user it touches.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

GROUP = ("clicks", "clicks_timed", "click_ms", "searches", "views", "views_timed", "view_ms")
"""The fields that add up: counts, and sums of milliseconds."""

FIELDS = (*GROUP, "first_ms", "last_ms")
"""All fields of a profile, in their order."""

NO_DURATION = -1
_NEVER_FIRST = np.iinfo(np.int64).max
_NEVER_LAST = -1
_COLUMN = {"click": 0, "search": 3, "view": 4}

Profile = tuple[int, ...]
"""One user's aggregates, in the order of `FIELDS`."""


def zero(users: int) -> NDArray[np.int64]:
    """The profiles, shape (users, fields), of users without an event."""
    profiles = np.zeros((users, len(FIELDS)), dtype=np.int64)
    profiles[:, -2] = _NEVER_FIRST
    profiles[:, -1] = _NEVER_LAST
    return profiles


def fold(
    profiles: NDArray[np.int64],
    user: NDArray[np.int64],
    kind: Sequence[str],
    duration_ms: NDArray[np.int64],
    time_ms: NDArray[np.int64],
) -> None:
    """Add events to ``profiles`` in place; ``user`` holds the row that each event belongs to.

    A duration is in milliseconds, or `NO_DURATION`. The order of the events does not matter.
    """
    column = np.fromiter((_COLUMN[name] for name in kind), dtype=np.int64, count=len(kind))
    np.add.at(profiles, (user, column), 1)
    timed = (duration_ms != NO_DURATION) & (column != _COLUMN["search"])
    np.add.at(profiles, (user[timed], column[timed] + 1), 1)
    np.add.at(profiles, (user[timed], column[timed] + 2), duration_ms[timed])
    np.minimum.at(profiles[:, -2], user, time_ms)
    np.maximum.at(profiles[:, -1], user, time_ms)


def columns(profiles: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """The same profiles by field name."""
    return {name: profiles[:, index] for index, name in enumerate(FIELDS)}


def encode(profile: Sequence[int]) -> bytes:
    """A profile as compact JSON by field name, as a Redis row keeps it.

    >>> encode((3, 1, 250, 0, 0, 0, 0, 10, 20))
    b'{"clicks":3,"clicks_timed":1,"click_ms":250,"searches":0,"views":0,"views_timed":0,"view_ms":0,"first_ms":10,"last_ms":20}'
    """
    return msgspec.json.encode(dict(zip(FIELDS, profile, strict=True)))


def decode(stored: bytes) -> Profile:
    """The profile of `encode`'s bytes."""
    fields = msgspec.json.decode(stored, type=dict[str, int])
    return tuple(fields[name] for name in FIELDS)
