"""Folding events into profiles, column-wise: a batch becomes one row of numbers for each user it touches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from segmenter.kinds import Kind
from segmenter.model.features import named
from segmenter.model.profiles import fields
from segmenter.model.vectors import vectors

NO_MEASURE = np.iinfo(np.int64).min
"""Stands in a column of measures for an event that has none."""

_NEVER_FIRST = np.iinfo(np.int64).max
_NEVER_LAST = -1


class Overflow(Exception):
    """A sum needs more than 64 bits: which row of the profiles, and which column."""

    def __init__(self, row: int, column: int) -> None:
        super().__init__(row, column)
        self.row, self.column = row, column


def zero(users: int, width: int) -> NDArray[np.int64]:
    """The profiles, shape (users, ``width``), of users without an event."""
    profiles = np.zeros((users, width), dtype=np.int64)
    profiles[:, -2] = _NEVER_FIRST
    profiles[:, -1] = _NEVER_LAST
    return profiles


def fold(
    profiles: NDArray[np.int64],
    user: NDArray[np.int64],
    count: NDArray[np.int64],
    measure: NDArray[np.int64],
    time_ms: NDArray[np.int64],
) -> None:
    """Add events to ``profiles`` in place, in any order.

    Of each event, ``user`` is the row it belongs to and ``count`` the column that counts its kind. The two columns
    after that count and sum up what is measured, unless it is `NO_MEASURE`. Raises `Overflow`.

    >>> one = zero(1, width=6)
    >>> fold(one, np.array([0, 0]), np.array([1, 0]), np.array([250, NO_MEASURE]), np.array([20, 10]))
    >>> one.tolist()
    [[1, 1, 1, 250, 10, 20]]
    """
    np.add.at(profiles, (user, count), 1)
    measured = measure != NO_MEASURE
    row, column = user[measured], count[measured] + 2
    before = profiles[row, column]
    np.add.at(profiles, (row, column - 1), 1)
    np.add.at(profiles, (row, column), measure[measured])
    after = profiles[row, column]
    wrapped = np.nonzero((after - before < 0) != (after < before))[0]
    if len(wrapped):
        raise Overflow(int(row[wrapped[0]]), int(column[wrapped[0]]))
    np.minimum.at(profiles[:, -2], user, time_ms)
    np.maximum.at(profiles[:, -1], user, time_ms)


def columns(profiles: NDArray[np.int64], names: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """The same profiles by field name."""
    return {name: profiles[:, index] for index, name in enumerate(names)}


def vectors_of(profiles: NDArray[np.int64], features: Iterable[str], kinds: tuple[Kind, ...]) -> NDArray[np.int64]:
    """The vectors, shape (users, features), of profiles; ``features`` are the names. Raises `UsageError` as `named`."""
    return vectors(columns(profiles, fields(kinds)), named(features, kinds))
