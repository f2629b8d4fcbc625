"""The same recommendations another way: long tables of pandas and loops over users and items, no matrix."""

from __future__ import annotations

from math import sqrt

import pandas as pd

Reasons = tuple[float, float, float | None, int]
"""Score, share, lift and the number of the user's items that it goes with."""


def recommended(
    events: pd.DataFrame, segments: dict[str, str | None], user: str, limit: int
) -> list[tuple[str, Reasons]]:
    """The items for a user with their reasons, from events with ``user`` and ``item``. ``segments`` has every user."""
    had = events.drop_duplicates(["user", "item"])
    owned = set(had.loc[had["user"] == user, "item"])
    users_of = had.groupby("item")["user"].agg(set).to_dict()
    slug = segments[user]
    found = {}
    for item, people in users_of.items():
        if item in owned or len(people) < 3:
            continue
        if slug is None or not owned:
            found[item] = (len(people) / len(segments), len(people) / len(segments), None, 0)
            continue
        share, lift = _taste(had, segments, slug, people)
        nearness = [_nearness(had, users_of[one], people) for one in owned]
        score = (sum(nearness) / len(owned) + SHARE_WEIGHT * share) * lift**LIFT_POWER
        found[item] = (score, share, lift, sum(value > 0 for value in nearness))
    ordered = sorted(found.items(), key=lambda each: (-each[1][0], each[0].encode()))
    return [each for each in ordered if each[1][0] > 0][:limit]


SHARE_WEIGHT = 0.05
LIFT_POWER = 0.5
PRIOR = 50


def _taste(had: pd.DataFrame, segments: dict[str, str | None], slug: str, people: set[str]) -> tuple[float, float]:
    mine = {user for user, of in segments.items() if of == slug}
    weight = had["user"].isin(mine).mean()
    inside = len(people & mine)
    outside = len(people) - inside
    lift = ((inside + PRIOR * weight) / weight) / ((outside + PRIOR * (1 - weight)) / (1 - weight))
    return inside / len(mine), lift


def _nearness(had: pd.DataFrame, one: set[str], other: set[str]) -> float:
    sizes = had["user"].value_counts()
    return float(sum(1 / sqrt(sizes[user]) for user in one & other) / sqrt(len(one) * len(other)))
