"""Items that the same users had: the cosine between the columns of two items, in which busy users weigh less.

Sarwar, Karypis, Konstan and Riedl: Item-based collaborative filtering recommendation algorithms (WWW 2001). A user
weighs as in Adamic and Adar: Friends and neighbors on the Web (Social Networks 25, 2003), with a square root for the
logarithm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array, vstack

from segmenter.analysis.recommendations.interactions import Sparse

NEIGHBOURS = 100
"""The most of an item that are kept, the nearest."""

MOST_ITEMS = 2_000
"""Who had more than so many items has no taste that could be told from theirs, and makes no items neighbours."""

PRODUCTS_AT_A_TIME = 5_000_000
"""About how many pairs of items are in memory at once."""


def neighbours(
    had: Sparse,
    wanted: NDArray[np.bool_],
    items: NDArray[np.int64],
    advance: Callable[[int], None] = lambda items: None,
) -> Sparse:
    """The neighbours of ``items``: a square matrix that has rows for these alone, and columns for those ``wanted``.

    The nearness of items i and j is the sum of 1 / sqrt(items of the user) over the users who had both, divided by
    sqrt(users of i x users of j); 0 of an item to itself. Of equally near ones the first are kept. ``advance`` is
    called with numbers of items.

    >>> from segmenter.analysis.recommendations.interactions import collect
    >>> had = collect([[(b"u1", b"jam"), (b"u1", b"tea"), (b"u2", b"tea"), (b"u3", b"oil")]]).had
    >>> neighbours(had, np.ones(3, dtype=bool), np.arange(3)).toarray().round(2).tolist()
    [[0.0, 0.0, 0.5], [0.0, 0.0, 0.0], [0.5, 0.0, 0.0]]
    """
    of_user, of_item = had.sum(axis=1), np.maximum(1, had.sum(axis=0))
    weight = np.where((of_user > 0) & (of_user <= MOST_ITEMS), 1 / np.sqrt(np.maximum(1, of_user)), 0.0)
    right = csr_array(diags_array(weight) @ had @ diags_array(wanted / np.sqrt(of_item)))
    right.eliminate_zeros()
    left = csr_array((had @ diags_array(1 / np.sqrt(of_item))).T)
    cost = np.minimum(left.sign() @ np.diff(right.indptr).astype(np.float64), had.shape[1])[items]
    parts = []
    for some in _divided(items, cost):
        parts.append(_nearest(csr_array(left[some] @ right), some))
        advance(len(some))
    found = vstack(parts, format="csr") if parts else csr_array((0, had.shape[1]))
    place = csr_array((np.ones(len(items)), (items, np.arange(len(items)))), shape=(had.shape[1], len(items)))
    return _ordered(csr_array(place @ found))


def _divided(items: NDArray[np.int64], cost: NDArray[np.float64]) -> Iterator[NDArray[np.int64]]:
    """The items in parts that cost about as much as may be in memory."""
    part = (np.cumsum(cost) // PRODUCTS_AT_A_TIME).astype(np.int64)
    yield from np.split(items, np.flatnonzero(np.diff(part)) + 1) if len(items) else ()


def _nearest(nearness: Sparse, items: NDArray[np.int64]) -> Sparse:
    """Of each row the nearest, without the item itself."""
    _ordered(nearness)
    kept: list[NDArray[np.int64]] = []
    for row, item in enumerate(items):
        start, end = nearness.indptr[row], nearness.indptr[row + 1]
        others = start + np.flatnonzero(nearness.indices[start:end] != item)
        if len(others) > NEIGHBOURS:
            values = nearness.data[others]
            least = -np.partition(-values, NEIGHBOURS - 1)[NEIGHBOURS - 1]
            ties = np.flatnonzero(values == least)[: NEIGHBOURS - int((values > least).sum())]
            others = np.sort(np.concatenate([others[values > least], others[ties]]))
        kept.append(others)
    places = np.concatenate(kept)
    indptr = np.concatenate([[0], np.cumsum([len(each) for each in kept])])
    return csr_array((nearness.data[places], nearness.indices[places], indptr), shape=nearness.shape)


def _ordered(matrix: Sparse) -> Sparse:
    matrix.sort_indices()
    return matrix
