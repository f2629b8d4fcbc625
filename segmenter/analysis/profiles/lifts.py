"""What more of a segment's users have than others: devices, pages, items, searches, properties of their events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from segmenter.analysis.profiles.sides import Sides

if TYPE_CHECKING:
    import pandas as pd

LEAST_USERS = 5
LEAST_SHARE = 0.01
"""A value has support if at least so many, and such a share, of the segment's users have it."""

MOST = 10


class Lift(msgspec.Struct, frozen=True):
    """A value, and how many more of the segment's users have it."""

    value: str
    users: int
    share: float
    """Of the segment's users."""
    base_users: int
    base_share: float
    """Of all users, or of those of the segment that it is compared with."""
    lift: float | None
    """``share / base_share``; None if nobody of the base has it."""


def by_lift(counted: pd.DataFrame, sides: Sides, users: int, base: int) -> list[Lift]:
    """The values with support that have the highest lift, from the columns ``label``, ``key``, ``value``, ``users``.

    ``users`` and ``base`` are the numbers of users, whether they have any value or not. Of the same lift, what more
    users have comes first.

    >>> import pandas as pd
    >>> rows = [("a", 1, "mobile", 9), ("b", 1, "mobile", 1), ("a", 2, "tablet", 4)]
    >>> counted = pd.DataFrame(rows, columns=["label", "key", "value", "users"])
    >>> [(each.value, each.share, each.lift) for each in by_lift(counted, Sides("a", None), 10, 20)]
    [('mobile', 0.9, 1.8)]
    """
    least = max(LEAST_USERS, LEAST_SHARE * users)
    inside = counted[sides.inside(counted["label"])]
    based = counted[sides.base(counted["label"])].groupby("key")["users"].sum()
    lifts = []
    for key, value, having in inside[["key", "value", "users"]].itertuples(index=False):
        if having >= least:
            having_too = int(based.get(key, 0))
            share, base_share = having / users, having_too / base if base else 0.0
            lift = share / base_share if having_too else None
            lifts.append(Lift(value, having, share, having_too, base_share, lift))
    return sorted(lifts, key=_order)[:MOST]


def _order(lift: Lift) -> tuple[float, int, str]:
    return -(float("inf") if lift.lift is None else lift.lift), -lift.users, lift.value
