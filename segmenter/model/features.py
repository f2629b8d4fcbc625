"""The numbers a user is judged by, computed from the profile alike for stream, batch and lookup."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from segmenter.errors import UsageError
from segmenter.kinds import Feature, Kind, catalogue


def features(profile: Mapping[str, int], wanted: Iterable[Feature]) -> dict[str, int | float | None]:
    """The features of one profile by name; a missing one is None.

    >>> total = Feature("total_clicks", "clicks", None, "clicks")
    >>> mean = Feature("mean_view_ms", "view_ms", "views_timed", "milliseconds")
    >>> features({"clicks": 3, "views_timed": 2, "view_ms": 500}, [total, mean])
    {'total_clicks': 3, 'mean_view_ms': 250.0}
    """
    return {feature.name: _value(feature, profile) for feature in wanted}


def named(names: Iterable[str], kinds: tuple[Kind, ...]) -> tuple[Feature, ...]:
    """The features of these names. Raises `UsageError` for one that the kinds do not give.

    >>> from segmenter.kinds import DEFAULT
    >>> named(["total_carts"], DEFAULT[1:2])
    Traceback (most recent call last):
    segmenter.errors.UsageError: the model judges by total_carts, but the kinds that are on give only total_searches.
    """
    known = {feature.name: feature for feature in catalogue(kinds)}
    wanted = tuple(names)
    for name in wanted:
        if name not in known:
            raise UsageError(f"the model judges by {name}, but the kinds that are on give only {', '.join(known)}.")
    return tuple([known[name] for name in wanted])


def is_count(feature: str) -> bool:
    """Whether the feature of this name counts events; the others sum up or average what these measure.

    >>> [is_count(name) for name in ("total_carts", "total_cart_amount", "mean_cart_amount")]
    [True, False, False]
    """
    return not feature.startswith("mean_") and not feature.endswith("_amount")


def _value(feature: Feature, profile: Mapping[str, int]) -> int | float | None:
    if feature.denominator is None:
        return profile[feature.numerator]
    count = profile[feature.denominator]
    return profile[feature.numerator] / count if count else None
