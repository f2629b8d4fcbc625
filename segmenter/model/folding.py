"""Folding events into profiles, column-wise: a batch becomes one row of numbers for each user it touches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segmenter.model.profiles import FIELDS

NO_DURATION = -1
"""Stands in a column of durations for an event without one."""

_NEVER_FIRST = np.iinfo(np.int64).max
_NEVER_LAST = -1
_COUNT = {"click": 0, "search": 3, "view": 4}
_SEARCHES = _COUNT["search"]


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
    """Add events to ``profiles`` in place, in any order; ``user`` holds the row that each event belongs to.

    A duration is in milliseconds, or `NO_DURATION`.

    >>> one = zero(1)
    >>> fold(one, np.array([0, 0]), ["view", "search"], np.array([250, NO_DURATION]), np.array([20, 10]))
    >>> one.tolist()
    [[0, 0, 0, 1, 1, 1, 250, 10, 20]]
    """
    count = np.array([_COUNT[name] for name in kind], dtype=np.int64)
    np.add.at(profiles, (user, count), 1)
    timed = (duration_ms != NO_DURATION) & (count != _SEARCHES)
    np.add.at(profiles, (user[timed], count[timed] + 1), 1)
    np.add.at(profiles, (user[timed], count[timed] + 2), duration_ms[timed])
    np.minimum.at(profiles[:, -2], user, time_ms)
    np.maximum.at(profiles[:, -1], user, time_ms)


def columns(profiles: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """The same profiles by field name."""
    return {name: profiles[:, index] for index, name in enumerate(FIELDS)}
