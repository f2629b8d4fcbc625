"""Who had which items, as a sparse matrix of users and items."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Sparse = Any
"""A `scipy.sparse.csr_array` of float64, which ships without types; the columns of each row are in order."""

PAIRS_AT_A_TIME = 4_000_000
"""Pairs that may be repeats of others, at least, before they are sorted out."""

_ITEM_BITS = 32


class Interactions(NamedTuple):
    """Users and items in the order of their ids' bytes, and who had what."""

    users: list[bytes]
    items: list[bytes]
    had: Sparse
    """One row per user, one column per item: 1 where the user had the item, however often."""


def collect(pages: Iterable[Sequence[tuple[bytes, bytes]]], users: Iterable[bytes] = ()) -> Interactions:
    """The interactions in pages of (user, item), in any order and with repeats; ``users`` may be among them or not.

    Memory grows with users, items and differing pairs, not with the number of events.

    >>> found = collect([[(b"u2", b"tea"), (b"u1", b"jam")], [(b"u2", b"tea"), (b"u2", b"jam")]], [b"u3"])
    >>> found.users, found.items
    ([b'u1', b'u2', b'u3'], [b'jam', b'tea'])
    >>> found.had.toarray().astype(int).tolist()
    [[1, 0], [1, 1], [0, 0]]
    """
    user_codes = {user: code for code, user in enumerate(dict.fromkeys(users))}
    item_codes: dict[bytes, int] = {}
    pairs: NDArray[np.int64] = np.empty(0, dtype=np.int64)
    waiting: list[NDArray[np.int64]] = []
    for page in pages:
        rows = np.array([user_codes.setdefault(user, len(user_codes)) for user, _ in page], dtype=np.int64)
        columns = np.array([item_codes.setdefault(item, len(item_codes)) for _, item in page], dtype=np.int64)
        waiting.append(np.unique(rows << _ITEM_BITS | columns))
        if sum(map(len, waiting)) > max(PAIRS_AT_A_TIME, len(pairs)):
            pairs, waiting = np.unique(np.concatenate([pairs, *waiting])), []
    pairs = np.unique(np.concatenate([pairs, *waiting]))
    ordered_users, user_places = _in_order(user_codes)
    ordered_items, item_places = _in_order(item_codes)
    places = user_places[pairs >> _ITEM_BITS], item_places[pairs & (1 << _ITEM_BITS) - 1]
    had = csr_array((np.ones(len(pairs)), places), shape=(len(ordered_users), len(ordered_items)))
    had.sort_indices()
    return Interactions(ordered_users, ordered_items, had)


def _in_order(codes: dict[bytes, int]) -> tuple[list[bytes], NDArray[np.int64]]:
    """The ids in order, and the place of each code among them."""
    ordered = sorted(codes)
    places = np.empty(len(ordered), dtype=np.int64)
    places[[codes[each] for each in ordered]] = np.arange(len(ordered))
    return ordered, places
