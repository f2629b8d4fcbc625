"""Each algorithm finds planted groups, the same ones each time, and says what it cannot do."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from segmenter.analysis.algorithms import ALGORITHMS, WITH_K, Algorithm, Options, find, require_different
from segmenter.errors import UsageError
from tests.analysis import plainly


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_planted_groups_are_found(algorithm: Algorithm) -> None:
    points, planted = plainly.blobs(900, 3)
    found = find(algorithm, points, Options(k=3))
    inside = found.labels >= 0
    assert inside.mean() > 0.95
    assert plainly.same_groups(found.labels[inside], planted[inside])
    assert (found.parameters.get("k") == 3) == (algorithm in WITH_K)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_same_users_give_the_same_clusters(algorithm: Algorithm) -> None:
    points, _ = plainly.blobs(900, 3, spread=2.5)
    first, second = (find(algorithm, points.copy(), Options(k=4)) for _ in range(2))
    np.testing.assert_array_equal(first.labels, second.labels)
    assert first.parameters == second.parameters


@pytest.mark.parametrize("algorithm", WITH_K)
def test_there_are_as_many_clusters_as_are_asked_for(algorithm: Algorithm) -> None:
    points, _ = plainly.blobs(300, 2, spread=3)
    for k in (2, 5):
        assert len(set(find(algorithm, points, Options(k)).labels.tolist())) == k


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_feature_that_is_the_same_for_all_changes_nothing(algorithm: Algorithm) -> None:
    points, _ = plainly.blobs(600, 3)
    options = Options(3, min_samples=8)
    widened = find(algorithm, np.column_stack([points, np.zeros(600)]), options).labels
    assert plainly.same_groups(find(algorithm, points, options).labels, widened)


def test_the_inertia_is_the_mean_squared_distance_to_the_own_mean() -> None:
    points, _ = plainly.blobs(300, 3, spread=2)
    labels, said = find("kmeans", points, Options(3))
    means = np.array([points[labels == cluster].mean(axis=0) for cluster in range(3)])
    assert said["inertia"] == pytest.approx(((points - means[labels]) ** 2).sum(axis=1).mean(), rel=1e-3)


def test_the_bic_is_that_of_the_paper() -> None:
    """-2 log likelihood + parameters log n; of two Gaussians far apart, each user counts for his own."""
    points, planted = plainly.blobs(800, 2, features=2)
    likelihood = 0.0
    for group in (0, 1):
        own = points[planted == group]
        gaussian = multivariate_normal(own.mean(axis=0), np.cov(own.T, bias=True))
        likelihood += gaussian.logpdf(own).sum() + len(own) * np.log(len(own) / 800)
    labels, said = find("gmm", points, Options(2))
    assert plainly.same_groups(labels, planted)
    assert said["converged"] == 1
    assert said["bic"] == pytest.approx(-2 * likelihood + 11 * np.log(800), rel=1e-3)


def test_users_who_cannot_be_told_apart_are_an_error() -> None:
    for points, words in (
        (np.zeros((1, 3)), "1 user is only one: there is nothing to cluster"),
        (np.zeros((8, 3)), "8 users have all the same features: there is nothing to cluster"),
        (np.array([[0.0], [1.0], [1.0]]), "only 2 users differ, so there cannot be 3 clusters: set --k lower"),
    ):
        with pytest.raises(UsageError, match=words):
            require_different(points, 3)
    require_different(np.array([[0.0], [1.0], [2.0]]), 3)
