"""Users as points: like plain pandas and the scaler of scikit-learn, on the scale of the live model."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.preprocessing import StandardScaler

from segmenter.analysis.points import distinct, prepare, sample
from segmenter.model.census import population, tally
from segmenter.model.kmeans import nearest
from segmenter.model.vectors import fixed

FEATURES = ["total_clicks", "total_searches", "mean_click_ms"]


def users(count: int = 500, seed: int = 3) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "total_clicks": random.poisson(9, count),
            "total_searches": random.poisson(2, count),
            "mean_click_ms": random.lognormal(7, 2, count),
        }
    )
    frame.loc[random.random(count) < 0.3, "mean_click_ms"] = np.nan
    return frame


def test_a_missing_mean_is_filled_with_the_mean_of_the_others_after_log1p() -> None:
    frame = users()
    logs = np.log1p(frame[FEATURES])
    expected = StandardScaler().fit_transform(logs.fillna(logs.mean()))
    points = prepare(frame, FEATURES).points
    assert frame["mean_click_ms"].isna().sum() > 100
    assert not np.isnan(points).any()
    np.testing.assert_allclose(points, expected, atol=1e-5)


def test_distances_are_those_that_the_live_model_judges_by() -> None:
    frame = users()
    prepared = prepare(frame, FEATURES)
    vectors = fixed(frame[FEATURES].to_numpy(dtype=np.float64))
    everyone = population(tally(vectors, [0] * len(vectors)))
    first = tuple(np.where(vectors[0] == -1, everyone.fill, vectors[0]).tolist())
    judged = nearest(vectors, [first], everyone.scale, everyone.fill)[1]
    np.testing.assert_allclose(((prepared.points - prepared.points[0]) ** 2).sum(axis=1), judged, rtol=1e-9, atol=1e-9)


def test_a_feature_that_is_the_same_for_all_or_that_nobody_has_does_no_harm() -> None:
    frame = users()[["total_clicks"]].assign(total_searches=7, mean_click_ms=np.nan)
    points = prepare(frame, FEATURES).points
    assert np.isfinite(points).all()
    assert (points[:, 1:] == 0).all()
    np.testing.assert_allclose(points[:, 0].std(), 1)


def test_differing_points_are_those_of_pandas() -> None:
    points = np.random.default_rng(2).integers(0, 3, (500, 3)).astype(float)
    different, which, times = distinct(points)
    counted = pd.DataFrame(points).value_counts(sort=False)
    assert len(different) == len(counted) < 500
    np.testing.assert_array_equal(different[which], points)
    assert {tuple(point): count for point, count in zip(different.tolist(), times, strict=True)} == counted.to_dict()


def test_a_sample_is_the_same_each_time_and_holds_nobody_twice() -> None:
    rows = sample(1_000, 100)
    assert len(set(rows.tolist())) == 100
    np.testing.assert_array_equal(rows, sample(1_000, 100))
    np.testing.assert_array_equal(sample(5, 100), range(5))
