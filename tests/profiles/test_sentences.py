"""Sentences about features, from numbers that can be checked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from segmenter.analysis.profiles.features import FeatureProfile, difference, spread
from segmenter.analysis.profiles.sentences import sentence
from segmenter.kinds import BUILT_IN, Kind, catalogue

KINDS = (*BUILT_IN.values(), Kind("add_to_cart", "carts_filled", "carts", "amount"))
UNITS = {each.name: each.unit for each in catalogue(KINDS)}


@pytest.mark.parametrize(
    ("feature", "inside", "outside", "other", "said"),
    [
        ("total_clicks", [6, 8], [2, 2], None, "Clicks 3.5 times as often as others do: 7.0 on average against 2.0."),
        (
            "total_searches", [1, 1], [4, 4.2], "Fans",
            "Searches only 24% as often as “Fans” does: 1.0 on average against 4.1.",
        ),
        ("total_social_actions", [2, 3], [0, 0], None, "more often than others do: 2.5 on average against 0.0."),
        ("total_views", [0, 0], [0, 4], None, "Reads articles less often than others do: 0.0 on average against 2.0."),
        (
            "mean_click_ms", [7.2e6, 7.4e6], [59_000, 61_000], None,
            "Stays after a click 122 times as long as others do: 2 h 2 min on average against 1 min 0 s.",
        ),
        (
            "total_purchase_amount", [12_000, 12_100], [5_000, 5_000], None,
            "Has purchases that come to 2.4 times as much in total as those of others: EUR 120.50 on average against",
        ),
        (
            "mean_carts_filled_amount", [150, 150], [100, 101], "Fans",
            "Has carts filled that come to 1.5 times as much each as those of “Fans”: EUR 1.50 on average against",
        ),
    ],
)  # fmt: skip
def test_a_sentence_says_the_means(
    feature: str, inside: list[float], outside: list[float], other: str | None, said: str
) -> None:
    one, others = np.array(inside, dtype=float), np.array(outside, dtype=float)
    apart = FeatureProfile(feature, UNITS[feature], spread(one), spread(others), difference(one, others))
    found = sentence(apart, KINDS, "EUR", other)
    assert said in found and found.endswith(".")


def test_typical_values_are_told_where_means_say_the_opposite() -> None:
    """Of ten users and one with 90,000 clicks, who alone makes the mean of the others the higher one."""
    one, others = np.full(11, 9.0), np.array([1.0] * 10 + [90_000.0])
    apart = FeatureProfile("total_clicks", "clicks", spread(one), spread(others), difference(one, others))
    typical = np.exp((10 * np.log(2) + np.log(90_001)) / 11) - 1
    assert sentence(apart, KINDS, "EUR", None) == (
        f"Clicks {9 / typical:.1f} times as often as others do: 9.0 typically against {typical:.1f}."
    )
