"""The best items for users, from the taste of their segments and from what goes with the items that they had."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segmenter.analysis.recommendations.interactions import Sparse
from segmenter.analysis.recommendations.taste import Numbers, Taste

LEAST_USERS = 3
"""An item that fewer users had is not recommended: so few show no taste."""

SHARE_WEIGHT = 0.05
"""What the share of the segment's users weighs beside the mean nearness to what the user had."""

USERS_AT_A_TIME = 1_000

Basis = Literal["segment", "popularity"]


class Scored(NamedTuple):
    """An item by its number, and why it is recommended."""

    item: int
    score: float
    share: float
    """Of the users of the segment, or of all where it is by popularity."""
    lift: float | None
    """`Taste.lift`; None by popularity."""
    near: int
    """Of how many items that the user had it is a neighbour."""


class Ranked(NamedTuple):
    """The items for a user by its number, the best first."""

    user: int
    basis: Basis
    items: list[Scored]


class _List(NamedTuple):
    """All that may be recommended, the best first, when nothing is known of the items that a user had."""

    share: Numbers
    boost: Numbers
    order: NDArray[np.int64]


def recommendable(taste: Taste) -> NDArray[np.bool_]:
    """Whether enough users had each item."""
    return taste.users >= LEAST_USERS


def rank(
    had: Sparse, slugs: Sequence[str | None], taste: Taste, near: Sparse, users: NDArray[np.int64], limit: int
) -> Iterator[list[Ranked]]:
    """At most ``limit`` items for each of ``users`` that they have not had, in parts of `USERS_AT_A_TIME` users.

    ``near`` has the neighbours of all items that these had. A score is ``(nearness + 0.05 share) x sqrt(lift)``, where
    nearness is the mean over the items that the user had. For a user without items or without a segment it is the
    share of all users. Of equal scores, the item whose id comes first is before the others.
    """
    allowed = recommendable(taste)
    by_segment = {
        slug: _listed(taste.share[row], np.sqrt(taste.lift[row]), allowed) for row, slug in enumerate(taste.segments)
    }
    popular = _listed(taste.popularity, np.ones(len(allowed)), allowed)
    lifts = dict(zip(taste.segments, taste.lift, strict=True))
    links = near.sign()
    seen = np.zeros(len(allowed), dtype=bool)
    for start in range(0, len(users), USERS_AT_A_TIME):
        some = users[start : start + USERS_AT_A_TIME]
        sums, counts = _products(had[some], near, links)
        part = []
        for row, user in enumerate(some.tolist()):
            owned = had.indices[had.indptr[user] : had.indptr[user + 1]]
            slug = slugs[user]
            seen[owned] = True
            if slug is None or not len(owned):
                best = _first(popular, seen, len(owned), limit)
                values = popular.share[best].tolist()
                part.append(Ranked(user, "popularity", _popular(best, values)))
            else:
                here = slice(sums.indptr[row], sums.indptr[row + 1])
                found = sums.indices[here], sums.data[here] / len(owned), counts.data[here]
                items = _best(found, by_segment[slug], lifts[slug], seen, len(owned), limit)
                part.append(Ranked(user, "segment", items))
            seen[owned] = False
        yield part


def _listed(share: Numbers, boost: Numbers, allowed: NDArray[np.bool_]) -> _List:
    items = np.flatnonzero(allowed & (share > 0))
    return _List(share, boost, items[np.argsort(-_score(0.0, share, boost)[items], kind="stable")])


def _score(nearness: Numbers | float, share: Numbers, boost: Numbers) -> Numbers:
    score: Numbers = (nearness + SHARE_WEIGHT * share) * boost
    return score


def _products(had: Sparse, near: Sparse, links: Sparse) -> tuple[Sparse, Sparse]:
    """The sums of nearness, and of how many items each is a neighbour: of the same form, as no nearness is 0."""
    sums, counts = had @ near, had @ links
    sums.sort_indices()
    counts.sort_indices()
    return sums, counts


def _first(listed: _List, seen: NDArray[np.bool_], owned: int, limit: int) -> NDArray[np.int64]:
    """The first items of a list that the user has not had."""
    head = listed.order[: limit + owned]
    return head[~seen[head]][:limit]


def _popular(items: NDArray[np.int64], shares: list[float]) -> list[Scored]:
    return [Scored(item, share, share, None, 0) for item, share in zip(items.tolist(), shares, strict=True)]


def _best(
    found: tuple[NDArray[np.int32], Numbers, Numbers],
    listed: _List,
    lift: Numbers,
    seen: NDArray[np.bool_],
    owned: int,
    limit: int,
) -> list[Scored]:
    """The best of the neighbours found and of the segment's list: no other item has a better score than these."""
    new = ~seen[found[0]]
    items, nearness, near = found[0][new], found[1][new], found[2][new]
    others = np.setdiff1d(_first(listed, seen, owned, limit), items, assume_unique=True)
    items = np.concatenate([items, others])
    nearness, near = (np.concatenate([each, np.zeros(len(others))]) for each in (nearness, near))
    scores = _score(nearness, listed.share[items], listed.boost[items])
    order = np.lexsort((items, -scores))[:limit]
    best = items[order]
    columns = best, scores[order], listed.share[best], lift[best], near[order].astype(np.int64)
    return [Scored(*row) for row in zip(*[column.tolist() for column in columns], strict=True)]
