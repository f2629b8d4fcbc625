"""Clusters are ranked like the live segments, named, and described by their typical user."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segmenter.analysis.clusters import describe
from segmenter.analysis.points import NOISE, prepare

SLUGS = ("low_engagement", "moderate_engagement", "highly_engaged")
FEATURES = ["total_clicks", "total_searches", "mean_view_ms"]
NONE = float("nan")
USERS = pd.DataFrame(
    [
        *[(50, 9, 10.0), (70, 30, 20.0)],
        *[(1, 0, NONE), (2, 0, NONE)],
        *[(9, 9, 900_000.0), (12, 5, NONE), (10, 7, 700_000.0)],
        (99_999, 0, 5.0),
    ],
    columns=FEATURES,
)
LABELS = np.array([2, 2, 0, 0, 1, 1, 1, NOISE])


def test_three_clusters_have_the_names_of_ranks_by_their_events() -> None:
    """Not by the number of users, nor by time: the one in the middle spends the most."""
    found = describe(prepare(USERS, FEATURES), LABELS, SLUGS)
    assert [(each.name, each.users, each.share) for each in found.clusters] == [
        ("low_engagement", 2, 0.25),
        ("moderate_engagement", 3, 0.375),
        ("highly_engaged", 2, 0.25),
    ]
    expected = ["highly_engaged"] * 2 + ["low_engagement"] * 2 + ["moderate_engagement"] * 3 + ["noise"]
    assert found.names == expected


@pytest.mark.parametrize("swapped", [[2, 0, 1], [0, 2, 1], [1, 2, 0]])
def test_the_numbers_that_an_algorithm_gives_change_nothing(swapped: list[int]) -> None:
    prepared = prepare(USERS, FEATURES)
    numbers = np.array([*swapped, NOISE])[LABELS]
    one, other = describe(prepared, LABELS, SLUGS), describe(prepared, numbers, SLUGS)
    assert one.clusters == other.clusters
    assert one.names == other.names


def test_any_other_number_of_clusters_is_counted_from_the_least_engaged_on() -> None:
    found = describe(prepare(USERS, FEATURES), LABELS, SLUGS[:2])
    assert [each.name for each in found.clusters] == ["cluster 1", "cluster 2", "cluster 3"]
    assert found.names[2] == "cluster 1" and found.names[-1] == "noise"


def test_the_typical_user_is_the_mean_of_the_logarithms_of_those_who_have_the_feature() -> None:
    low, moderate, _ = describe(prepare(USERS, FEATURES), LABELS, SLUGS).clusters
    logs = np.log1p(USERS.loc[LABELS == 1])
    assert moderate.typical == pytest.approx(np.expm1(logs.mean()).to_dict(), rel=1e-5)
    assert low.typical["mean_view_ms"] is None


def test_when_all_is_noise_there_is_no_cluster() -> None:
    found = describe(prepare(USERS, FEATURES), np.full(8, NOISE), SLUGS)
    assert found.clusters == []
    assert set(found.names) == {"noise"}
