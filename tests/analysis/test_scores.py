"""The scores are those of the papers, and noise has no part in them."""

from __future__ import annotations

import numpy as np
import pytest

from segmenter.analysis import scores as module
from segmenter.analysis.points import NOISE
from segmenter.analysis.scores import Scores, agreement, compare, scores, silhouette
from tests.analysis import plainly


def labelled(users: int = 80, seed: int = 5) -> tuple[plainly.Points, plainly.Labels]:
    """Three overlapping groups, one of a single user."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, users)
    labels[7] = 2
    return random.normal(0, 1, (users, 3)) + labels[:, None], labels


def test_scores_are_those_of_the_papers() -> None:
    points, labels = labelled()
    found = scores(points, labels)
    assert found.silhouette == pytest.approx(plainly.silhouette(points, labels))
    assert found.davies_bouldin == pytest.approx(plainly.davies_bouldin(points, labels))
    assert found.calinski_harabasz == pytest.approx(plainly.calinski_harabasz(points, labels))


def test_noise_is_left_out_of_the_scores() -> None:
    points, labels = labelled()
    strange = np.concatenate([points, np.full((9, 3), 50.0)])
    assert scores(strange, np.concatenate([labels, np.full(9, NOISE)])) == scores(points, labels)


@pytest.mark.parametrize("labels", [[0, 0, 0], [NOISE] * 3, [0, 1, 2], [NOISE, 0, 0], []], ids=str)
def test_what_cannot_be_rated_has_no_score(labels: list[int]) -> None:
    points = np.arange(2.0 * len(labels)).reshape(-1, 2)
    assert scores(points, np.array(labels, dtype=np.intp)) == Scores(None, None, None)


def test_the_silhouette_of_many_is_that_of_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    points, labels = plainly.blobs(600, 3, spread=1.5)
    whole = plainly.silhouette(points, labels)
    monkeypatch.setattr(module, "MOST_USERS", 200)
    found = silhouette(points, labels)
    assert found != pytest.approx(whole, abs=1e-9)
    assert found == pytest.approx(whole, abs=0.05)


@pytest.mark.parametrize("seed", range(5))
def test_agreement_is_the_adjusted_rand_index_over_all_pairs(seed: int) -> None:
    random = np.random.default_rng(seed)
    one = random.integers(0, 4, 60)
    other = np.where(random.random(60) < 0.5, one, random.integers(0, 3, 60))
    assert agreement(one, other) == pytest.approx(plainly.adjusted_rand(one, other))
    assert agreement(one, (one + 1) % 4) == 1.0


def test_agreement_is_about_nothing_by_chance() -> None:
    random = np.random.default_rng(1)
    found = agreement(random.integers(0, 5, 5_000), random.integers(0, 3, 5_000))
    assert found == pytest.approx(0, abs=0.01)


def test_agreement_leaves_out_who_is_noise_in_either() -> None:
    one = np.array([0, 0, 1, 1, NOISE, 0, 0])
    other = np.array([2, 2, 2, 0, 1, NOISE, 0])
    assert agreement(one, other) == pytest.approx(plainly.adjusted_rand(one[[0, 1, 2, 3, 6]], other[[0, 1, 2, 3, 6]]))
    assert agreement(one, np.full(7, NOISE)) is None


def test_a_comparison_has_a_line_for_each_and_a_number_for_each_pair() -> None:
    points, labels = labelled()
    half = labels.copy()
    half[:40] = NOISE
    counted: list[int] = []
    live, other = compare(points, {"live": labels, "other": half}, counted.append)
    assert (live.name, live.k, live.noise, other.name, other.k, other.noise) == ("live", 3, 0, "other", 2, 40)
    assert live.agreement == {"live": 1.0, "other": 1.0} == other.agreement
    assert other.scores == scores(points[40:], labels[40:]) != live.scores
    assert counted == [1, 1]
