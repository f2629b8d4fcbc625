"""DBSCAN is that of scikit-learn; a sample finds what all users would; noise is noise."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import DBSCAN, HDBSCAN

from segmenter.analysis.density import dbscan, hdbscan
from segmenter.analysis.points import NOISE
from segmenter.analysis.scores import agreement
from segmenter.errors import UsageError
from tests.analysis import plainly


def with_strays(users: int, groups: int = 3, strays: int = 40) -> tuple[plainly.Points, plainly.Labels]:
    """Groups, and far from them some who are in none."""
    points, labels = plainly.blobs(users, groups)
    far = np.random.default_rng(9).uniform(-40, -5, (strays, points.shape[1]))
    return np.concatenate([points, far]), np.concatenate([labels, np.full(strays, NOISE)])


@pytest.mark.parametrize("eps", [0.05, 0.2, 0.3, 0.6, 9.0])
@pytest.mark.parametrize("min_samples", [1, 4, 12])
def test_clusters_are_those_of_scikit_learn(eps: float, min_samples: int) -> None:
    points, _ = with_strays(600)
    expected = DBSCAN(eps=eps, min_samples=min_samples).fit_predict(points)
    found, said = dbscan(points, eps, min_samples)
    np.testing.assert_array_equal(found, expected)
    assert said == {"eps": eps, "min_samples": min_samples, "sample": 640}


def test_eps_is_where_the_distances_to_the_neighbours_bend() -> None:
    points, _ = with_strays(600)
    sorted_distances = np.sort(np.sort(plainly.distances(points), axis=1)[:, 7])
    rank = np.linspace(0, 1, 640)
    height = (sorted_distances - sorted_distances[0]) / np.ptp(sorted_distances)
    _, said = dbscan(points, None, None)
    assert said["min_samples"] == 8, "twice the number of features"
    assert said["eps"] == pytest.approx(sorted_distances[np.argmax(rank - height)])


def test_strays_are_noise_and_groups_are_found() -> None:
    points, planted = with_strays(600, strays=6)
    for found, _ in (dbscan(points, None, None), hdbscan(points, None)):
        assert (found[planted == NOISE] == NOISE).all()
        assert (found[planted != NOISE] == NOISE).mean() < 0.05
        assert agreement(found, planted) == 1.0


@pytest.mark.parametrize("name", ["dbscan", "hdbscan"])
def test_a_sample_finds_what_all_users_would(name: str) -> None:
    """One in four is drawn: the groups are the same, and nine in ten are noise in both or in neither."""
    points, planted = with_strays(4_000, strays=6)
    if name == "dbscan":
        found, said = dbscan(points, 0.6, 8, most=1_000)
        whole = DBSCAN(eps=0.6, min_samples=8).fit_predict(points)
    else:
        found, said = hdbscan(points, 8, most=1_000)
        whole = HDBSCAN(min_cluster_size=40, min_samples=8, copy=True).fit_predict(points)
    assert said["sample"] == 1_000
    assert agreement(found, whole.astype(np.intp)) == 1.0
    assert ((found == NOISE) == (whole == NOISE)).mean() > 0.9
    assert (found[planted == NOISE] == NOISE).all()


def test_users_who_are_nowhere_dense_are_all_noise() -> None:
    far_apart = np.arange(40.0)[:, None] * 100
    found, _ = dbscan(far_apart, 1.0, 3)
    assert (found == NOISE).all()
    found, _ = dbscan(far_apart, 1.0, 3, most=20)
    assert (found == NOISE).all()


def test_too_few_users_and_equal_ones_are_errors_that_say_what_to_do() -> None:
    points, _ = plainly.blobs(7, 2)
    for find in (lambda: dbscan(points, None, None), lambda: hdbscan(points, None)):
        with pytest.raises(UsageError, match=r"^7 users are too few.* 8 to be dense: set --min-samples lower"):
            find()
    for needed in (4, 1):
        with pytest.raises(UsageError, match=f"as many as --min-samples, {needed}, are equal .* Set --eps"):
            dbscan(np.repeat(points, 4, axis=0), None, needed)


def test_one_user_may_be_dense_enough() -> None:
    points, planted = plainly.blobs(60, 2)
    assert plainly.same_groups(dbscan(points, 2.0, 1)[0], planted)
    found, said = hdbscan(points, 1)
    assert said["min_cluster_size"] == 2
    assert agreement(found, planted) is not None
