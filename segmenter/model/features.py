"""The numbers a user is judged by, defined once for stream, batch and lookup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Feature(NamedTuple):
    """A profile field, or the ratio of two: ``numerator / denominator``, missing while the denominator is 0."""

    name: str
    numerator: str
    denominator: str | None
    unit: str


FEATURES = (
    Feature("total_clicks", "clicks", None, "clicks"),
    Feature("total_searches", "searches", None, "searches"),
    Feature("mean_click_ms", "click_ms", "clicks_timed", "milliseconds"),
    Feature("mean_view_ms", "view_ms", "views_timed", "milliseconds"),
)
"""The features, in the order of a vector."""


def features(profile: Mapping[str, int]) -> dict[str, int | float | None]:
    """The features of one profile by name; a missing one is None.

    >>> features({"clicks": 3, "clicks_timed": 2, "click_ms": 500, "searches": 0, "views_timed": 0, "view_ms": 0})
    {'total_clicks': 3, 'total_searches': 0, 'mean_click_ms': 250.0, 'mean_view_ms': None}
    """
    return {feature.name: _value(feature, profile) for feature in FEATURES}


def _value(feature: Feature, profile: Mapping[str, int]) -> int | float | None:
    if feature.denominator is None:
        return profile[feature.numerator]
    count = profile[feature.denominator]
    return profile[feature.numerator] / count if count else None
