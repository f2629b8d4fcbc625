"""Ward's hierarchy is that of SciPy; equal users and small clusters have their weight."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage

from segmenter.analysis.hierarchy import cut, hierarchical, ward
from segmenter.analysis.scores import agreement
from tests.analysis import plainly


@pytest.mark.parametrize("k", [1, 2, 3, 7, 40, 300])
def test_clusters_are_those_of_scipy(k: int) -> None:
    points = np.random.default_rng(4).normal(0, 1, (300, 3))
    expected = fcluster(linkage(points, "ward"), k, "maxclust")
    found, _ = hierarchical(points, k)
    assert plainly.same_groups(found, expected)


def test_what_each_merge_adds_is_as_in_scipy() -> None:
    points = np.random.default_rng(4).normal(0, 1, (200, 3))
    heights = np.sort([added for added, _, _ in ward(points, np.ones(200))])
    np.testing.assert_allclose(np.sqrt(2 * heights), np.sort(linkage(points, "ward")[:, 2]))


def test_a_weight_is_so_many_equal_users() -> None:
    """Also where the weights decide: each point alone, the nearest two would be others."""
    random = np.random.default_rng(6)
    points, times = random.normal(0, 1, (60, 2)), random.integers(1, 40, 60)
    everybody = np.repeat(points, times, axis=0)
    for k in (2, 5, 12):
        expected = fcluster(linkage(everybody, "ward"), k, "maxclust")
        assert plainly.same_groups(np.repeat(cut(ward(points, times), 60, k), times), expected)
        assert plainly.same_groups(hierarchical(everybody, k)[0], expected)
    assert not plainly.same_groups(np.repeat(cut(ward(points, np.ones(60)), 60, 5), times), np.repeat(
        cut(ward(points, times), 60, 5), times))  # fmt: skip


def test_of_small_clusters_it_agrees_with_that_of_all_users() -> None:
    """An adjusted Rand index of at least 0.95 where there are groups; there is one small cluster for 10 users."""
    points, _ = plainly.blobs(3_000, 4, spread=0.8)
    expected = fcluster(linkage(points, "ward"), 4, "maxclust")
    found, said = hierarchical(points, 4, most=1_000, micro=300)
    assert said["joined"] <= 300
    agreed = agreement(found, expected)
    assert agreed is not None and agreed >= 0.95
