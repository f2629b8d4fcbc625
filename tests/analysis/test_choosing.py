"""How many clusters: planted groups are counted, one group is called one, and the gap is that of the paper."""

from __future__ import annotations

import numpy as np
import pytest

from segmenter.analysis.choosing import Candidate, by_elbow, by_gap, choose
from segmenter.errors import UsageError
from tests.analysis import plainly


def nothing(count: int) -> None:
    pass


@pytest.mark.parametrize("groups", [2, 3, 5])
def test_planted_groups_are_counted_by_each_rule(groups: int) -> None:
    found = choose(plainly.blobs(400, groups, spread=0.5)[0], 2, 7, nothing)
    assert (found.silhouette, found.elbow, found.gap, found.k) == (groups,) * 4
    assert found.sample == 400


def test_one_group_is_called_one_and_the_choice_is_the_middle_of_three_answers() -> None:
    found = choose(np.random.default_rng(3).uniform(0, 1, (400, 4)), 2, 7, nothing)
    assert found.gap == 1
    assert found.silhouette > found.elbow, "else this does not show which one is taken"
    assert found.k == found.elbow >= 2


def test_the_gap_of_one_cluster_is_to_users_spread_evenly_along_the_principal_axes() -> None:
    """Of such users, the expected inertia is known: the sum of the squared widths of the box, divided by 12."""
    random = np.random.default_rng(2)
    points = random.normal(0, (3.0, 1.0), (3_000, 2)) @ np.array([[0.8, 0.6], [-0.6, 0.8]])
    along = (points - points.mean(axis=0)) @ np.linalg.eigh(np.cov(points.T))[1]
    even = (np.ptp(along, axis=0) ** 2).sum() / 12
    first, *_ = choose(points, 2, 3, nothing).candidates
    assert first.inertia == pytest.approx(points.var(axis=0).sum())
    assert first.gap == pytest.approx(np.log(even / points.var(axis=0).sum()), abs=0.03)
    assert 0 < first.error < 0.03


def candidates(*gaps: float, first: int = 1) -> list[Candidate]:
    return [Candidate(k, 1.0, None, gap, 0.1) for k, gap in enumerate(gaps, first)]


def test_the_gap_needs_to_come_within_one_standard_error_of_the_next() -> None:
    assert by_gap(candidates(0.2, 0.5, 0.9, 0.95, 2.0), 2) == 3
    assert by_gap(candidates(0.2, 0.5, 0.9, 1.05, 1.0), 2) == 4
    assert by_gap(candidates(0.45, 0.5, 0.9, 0.8), 2) == 1
    assert by_gap(candidates(0.0, 1.0, 2.0, 3.0), 2) == 4, "the last one if none passes"
    assert by_gap(candidates(0.0, 1.0, 1.0, 3.0, 3.0), 4) == 4, "2 is not in the range"


def test_the_elbow_is_farthest_below_the_line_from_one_cluster_to_the_last() -> None:
    """Of the logarithm of the inertia, here to the base 2."""
    curve = [Candidate(k, 2.0**power, None, 0.0, 0.0) for k, power in enumerate([9, 7, 2, 1, 1], 1)]
    below = {k: 9 - 8 * (k - 1) / 4 - power for k, power in enumerate([9, 7, 2, 1, 1], 1)}
    assert max(below, key=lambda k: below[k]) == 3 == by_elbow(curve, 2)
    assert by_elbow(curve, 4) == 4, "the lowest of the range if the bend is before that"


def test_many_users_are_chosen_by_a_sample_and_each_candidate_is_counted() -> None:
    counted: list[int] = []
    found = choose(plainly.blobs(6_000, 3)[0], 3, 4, counted.append)
    assert found.sample == 5_000
    assert [each.k for each in found.candidates] == [1, 2, 3, 4]
    assert sum(counted) == 4
    assert found.candidates[0].silhouette is None


def test_a_range_beyond_the_users_who_differ_is_an_error() -> None:
    with pytest.raises(UsageError, match="6 clusters need more than the 6 users who differ: end --choose-k lower"):
        choose(np.repeat(np.arange(6.0), 9)[:, None], 2, 6, nothing)
