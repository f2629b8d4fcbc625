"""What each segment likes more than all others do.

Users of an engaged segment have more of everything, so that a share of users says how busy they are as much as what
they like. Therefore a segment is compared by its activity: the share of all that was had that its users had.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from segmenter.analysis.recommendations.interactions import Sparse

Numbers = NDArray[np.float64]

PRIOR_USERS = 50
"""The lift of an item is taken as if so many more users had had it, by the activity of each segment alone."""


class Taste(NamedTuple):
    """What segments like: one row per segment, one column per item."""

    segments: tuple[str, ...]
    share: Numbers
    """The share of the segment's users who had the item."""
    lift: Numbers
    """How many times as often the segment had the item as all others did, at equal activity."""
    users: NDArray[np.int64]
    """How many users had the item, of all."""
    popularity: Numbers
    """Their share of all users."""


def taste(had: Sparse, slugs: Sequence[str | None]) -> Taste:
    """The taste of the segments, given the slug of each user; None for users in no segment, who are others to all.

    With n users who had an item, of whom s are in the segment, and w the segment's share of all that was had, lift is
    ``((s + 50 w) / w) / ((n - s + 50 (1 - w)) / (1 - w))``: the ratio of two Poisson rates, each with a gamma prior
    that draws it to 1. It is 1 where one of the sides had nothing at all.

    >>> from segmenter.analysis.recommendations.interactions import collect
    >>> people = [(b"a%d" % n, b"tea") for n in range(60)] + [(b"b%d" % n, b"jam") for n in range(60)]
    >>> found = taste(collect([people]).had, ["reader"] * 60 + ["fan"] * 60)
    >>> found.segments, found.share.tolist(), found.lift.tolist()
    (('fan', 'reader'), [[1.0, 0.0], [0.0, 1.0]], [[3.4, 0.29411764705882354], [0.29411764705882354, 3.4]])
    """
    segments = tuple(sorted({slug for slug in slugs if slug is not None}))
    row_of = {slug: row for row, slug in enumerate(segments)}
    members = [(row_of[slug], user) for user, slug in enumerate(slugs) if slug is not None]
    rows, users = np.array(members, dtype=np.int64).reshape(len(members), 2).T
    member = csr_array((np.ones(len(members)), (rows, users)), shape=(len(segments), len(slugs)))
    inside = (member @ had).toarray()
    size = np.bincount(rows, minlength=len(segments))[:, None]
    everyone = had.sum(axis=0)
    return Taste(
        segments,
        inside / size,
        _lift(inside, everyone),
        everyone.astype(np.int64),
        everyone / max(1, len(slugs)),
    )


def _lift(inside: Numbers, everyone: Numbers) -> Numbers:
    outside = everyone - inside
    activity, others = inside.sum(axis=1, keepdims=True), outside.sum(axis=1, keepdims=True)
    comparable = (activity > 0) & (others > 0)
    weight = np.where(comparable, activity / np.maximum(1, activity + others), 0.5)
    lift = ((inside + PRIOR_USERS * weight) / weight) / ((outside + PRIOR_USERS * (1 - weight)) / (1 - weight))
    return np.where(comparable, lift, 1.0)
