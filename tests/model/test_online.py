"""The online K-Means as river sees it."""

from __future__ import annotations

import copy
import math
import pickle
import random
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import checks, datasets
from river.checks import common
from sklearn.cluster import KMeans

from segmenter.model.census import population, tally
from segmenter.model.drift import Drift
from segmenter.model.kmeans import inertia, judge
from segmenter.model.online import OnlineKMeans
from segmenter.model.vectors import MISSING, fixed

DATASET_CHECKS = (
    common.check_learn_one,
    common.check_pickling,
    common.check_shuffle_features_no_impact,
    common.check_emerging_features,
    common.check_disappearing_features,
    common.check_radically_disappearing_features,
    common.check_no_state_aliasing_with_input,
    common.check_clone_is_independent,
    common.check_learn_many_matches_learn_one,
    common.check_seeding_is_idempotent,
    common.check_bounded_memory_growth,
)
"""What river asks of a model with data; it has no data set for clusterers, so these are given some below."""

TYPICAL = ((0.5, 3.0), (3.0, 6.0), (6.0, 9.0))
"""The logarithms of clicks and ms of three sorts of users."""

Point = dict[Any, float | None]
value = st.one_of(st.none(), st.integers(0, 5), st.floats(0, 1e6))
point = st.fixed_dictionaries({}, optional={"clicks": value, "views": value, "ms": value})


def users(n: int, seed: int = 0) -> list[Point]:
    """Three sorts of users; some have no ``ms``."""
    random = np.random.default_rng(seed)
    values = np.exp(random.normal(np.array(TYPICAL)[random.integers(0, 3, n)], 0.5)).tolist()
    return [{"clicks": clicks, "ms": ms if index % 7 else None} for index, (clicks, ms) in enumerate(values)]


def learnt(model: OnlineKMeans, points: list[Point]) -> OnlineKMeans:
    for x in points:
        model.learn_one(x)
    return model


@pytest.mark.parametrize("check", list(checks.yield_checks(OnlineKMeans())), ids=lambda check: check.__name__)
def test_river_accepts_the_estimator(check: Callable[[OnlineKMeans], None]) -> None:
    check(OnlineKMeans())


@pytest.mark.parametrize("dataset", [datasets.Phishing, datasets.TrumpApproval])
@pytest.mark.parametrize("check", DATASET_CHECKS)
@pytest.mark.parametrize("parameters", [{}, {"n_clusters": 5, "grace_period": 7, "window": 40, "margin": 0.0}])
def test_river_accepts_it_with_data(
    check: Callable[[OnlineKMeans, Any], None], dataset: Any, parameters: dict[str, Any]
) -> None:
    check(OnlineKMeans(**parameters), list(dataset().take(200)))


def test_before_it_has_learnt_all_are_one_cluster() -> None:
    assert OnlineKMeans().predict_one({"clicks": 3}) == 0
    assert OnlineKMeans().predict_many(pd.DataFrame({"clicks": [3, 4]})).tolist() == [0, 0]


def test_answers_are_under_the_index_of_the_frame() -> None:
    """Whole numbers, also for a frame without rows."""
    model = learnt(OnlineKMeans(), users(150))
    frame = pd.DataFrame(users(5), index=list("abcde"))
    found = model.predict_many(frame)
    assert found.to_dict() == {row: model.predict_one(x) for row, x in zip("abcde", users(5), strict=True)}
    assert found.dtype == model.predict_many(frame[:0]).dtype == "int64"


def test_asking_changes_nothing() -> None:
    """Not even for features never seen, of which river's own KMeans makes new coordinates."""
    model = learnt(OnlineKMeans(), users(150))
    before = pickle.dumps(model)

    model.predict_one({"clicks": 3.0, "unseen": 1e9, 7: -1.0})
    model.predict_one({})
    model.predict_many(pd.DataFrame({"unseen": [1.0, 2.0]}))

    assert pickle.dumps(model) == before


def test_unseen_features_do_not_count() -> None:
    model = learnt(OnlineKMeans(), users(150))

    for x in users(50, seed=1):
        assert model.predict_one(x | {"unseen": 1e9}) == model.predict_one(x)


def test_none_nan_and_absent_are_the_same() -> None:
    model = learnt(OnlineKMeans(), users(150))

    ways: list[Point] = [{"clicks": 3.0}, {"clicks": 3.0, "ms": None}, {"clicks": 3.0, "ms": math.nan}]
    assert len({model.predict_one(x) for x in ways}) == 1


def test_the_order_of_features_does_not_matter() -> None:
    points = users(150)

    one = learnt(OnlineKMeans(), points)
    other = learnt(OnlineKMeans(), [dict(reversed(x.items())) for x in points])

    assert one.features == other.features == ("clicks", "ms")
    assert one.generation == other.generation


def test_a_number_without_bound_is_refused() -> None:
    said = "a feature is infinite; it must be a finite number, or None or NaN where it is missing"
    with pytest.raises(ValueError, match=f"^{said}$"):
        OnlineKMeans().learn_one({"clicks": math.inf})


@settings(max_examples=30, deadline=None)
@given(
    st.lists(point, min_size=1, max_size=60),
    st.integers(1, 100),
    st.integers(1, 70),
    st.randoms(use_true_random=False),
)
def test_any_batch_split_learns_the_same(points: list[Point], grace: int, window: int, random: random.Random) -> None:
    """Columns of a frame are features, all of them; so the plain loop learns absent ones as None."""
    names = sorted({name for x in points for name in x})
    whole = [{name: x.get(name) for name in names} for x in points]
    one_by_one = learnt(OnlineKMeans(grace_period=grace, window=window, margin=0.001), whole)
    batched = one_by_one.clone()

    frame = pd.DataFrame(whole, columns=names, dtype="float64")
    cuts = sorted(random.choices(range(len(points) + 1), k=3))
    for start, end in zip([0, *cuts], [*cuts, len(points)], strict=True):
        batched.learn_many(frame.iloc[start:end])

    assert batched.generation == one_by_one.generation
    assert batched.census == one_by_one.census
    assert batched.predict_many(frame).tolist() == [one_by_one.predict_one(x) for x in whole]


@pytest.mark.parametrize("before", [40, 50])
def test_a_batch_that_begins_between_two_steps_does_not_skip_one(before: int) -> None:
    """Users change, so each step that is considered is taken."""
    points = users(100) + [{name: v and v * 3 for name, v in x.items()} for x in users(100, seed=1)]
    one_by_one = OnlineKMeans(grace_period=50, margin=0.0)
    numbers = []
    for x in points:
        one_by_one.learn_one(x)
        numbers.append(one_by_one.generation.number if one_by_one.generation else 0)
    batched = learnt(OnlineKMeans(grace_period=50, margin=0.0), points[:before])

    batched.learn_many(pd.DataFrame(points[before:]))

    assert batched.generation == one_by_one.generation
    steps = [at + 1 for at, (last, now) in enumerate(pairwise([0, *numbers])) if now > last]
    assert {50, 100, 150, 200} & set(steps) and numbers == sorted(numbers) and numbers[-1] == len(steps)
    assert all(at in (3, 6, 12, 24, 48, 96, 192) or at % 50 == 0 for at in steps)


@settings(max_examples=30, deadline=None)
@given(st.lists(point, min_size=1, max_size=40), st.integers(2, 50), st.data())
def test_the_census_is_of_the_points_in_the_window(points: list[Point], window: int, data: st.DataObject) -> None:
    """Learn all, forget some, any of them; then count what must be left, under the present model."""
    model = learnt(OnlineKMeans(grace_period=9, window=window, margin=0.0), points)
    numbers = [[math.nan if x.get(name) is None else x[name] for name in model.features] for x in points]
    vectors = fixed(np.array(numbers, dtype=np.float64).reshape(len(points), len(model.features))).tolist()
    left = vectors[-window:]
    for row in data.draw(st.lists(st.integers(0, len(points) - 1), max_size=10)):
        model.forget_one(points[row])
        if vectors[row] in left:
            left.remove(vectors[row])

    matrix = np.array(left, dtype=np.int64).reshape(len(left), len(model.features))
    assert model.census == tally(matrix, judge(matrix, model.generation))


def test_to_forget_what_was_never_learnt_changes_nothing() -> None:
    model = learnt(OnlineKMeans(), users(150))
    before = copy.deepcopy(model.census)

    model.forget_one({"clicks": 123_456.0})
    model.forget_one({**users(150)[3], "unseen": 1.0})

    assert model.census == before


def test_features_may_come_late_and_have_names_of_any_sort() -> None:
    """The model stays, and its clusters keep their ids."""
    model = learnt(OnlineKMeans(), users(150))
    before, ids = model.generation, [model.predict_one(x) for x in users(20, seed=1)]
    assert before is not None

    model.learn_one({7: 1.0, "a": 2.0, "clicks": None, None: 3.0})

    assert set(model.features) == {"clicks", "ms", "a", 7, None}
    assert model.generation is not None and model.generation.number == before.number
    assert len(model.generation.centres[0]) == 5
    assert [model.predict_one(x) for x in users(20, seed=1)] == ids
    assert sum(part.users for part in model.census.values()) == 151


def test_a_frame_may_have_missing_numbers_of_any_sort() -> None:
    columns = {"clicks": [1, None, 3, 900, 5, 1_000], "ms": [10, 20, None, None, 50, 60]}
    one = OnlineKMeans(n_clusters=2)
    for row in zip(*columns.values(), strict=True):
        one.learn_one(dict(zip(columns, row, strict=True)))
    for kind in ("Int64", "float64", "Float64", "object"):
        many = OnlineKMeans(n_clusters=2)
        many.learn_many(pd.DataFrame(columns).astype(kind))
        assert (many.census, many.generation) == (one.census, one.generation), kind


def test_it_can_roll() -> None:
    """A point that comes back in other words: forgotten as it was, learnt as it is."""
    model = learnt(OnlineKMeans(n_clusters=2), [{"clicks": float(n)} for n in (1, 2, 900, 1000)])

    model.forget_one({"clicks": 1.0})
    model.learn_one({"clicks": 800.0})

    assert sum(part.users for part in model.census.values()) == 4
    assert model.census["cluster_1"].users == 3


def test_it_is_about_as_good_as_scikit_learn() -> None:
    points = users(3_000, seed=2)
    model = learnt(OnlineKMeans(), points)
    values = [[x["clicks"], math.nan if x["ms"] is None else x["ms"]] for x in points]
    vectors = fixed(np.array(values, dtype=np.float64))
    assert model.features == ("clicks", "ms")
    assert model.generation is not None

    _, fill, scale = population(tally(vectors, ["all"] * len(vectors)))
    theirs = KMeans(3, n_init=10, random_state=0).fit(np.where(vectors == MISSING, fill, vectors) / scale)

    assert inertia(vectors, model.generation.centres, scale, fill) <= theirs.inertia_ * 1.03


def test_it_follows_users_who_change() -> None:
    """With a window, yesterday's users make room, and steps take the centres along; the cluster ids stay."""

    def typical(shift: float) -> list[Point]:
        return [{"clicks": math.exp(clicks + shift), "ms": math.exp(ms + shift)} for clicks, ms in TYPICAL]

    model = learnt(OnlineKMeans(window=600), users(600))
    first = model.generation
    assert first is not None
    ids = [model.predict_one(x) for x in typical(0)]
    assert sorted(ids) == [0, 1, 2]

    learnt(model, [{name: v and v * math.e for name, v in x.items()} for x in users(1_200, seed=3)])

    assert model.generation is not None
    assert model.generation.number > first.number
    assert [model.predict_one(x) for x in typical(1)] == ids


def test_a_batch_larger_than_the_window_leaves_its_newest() -> None:
    model = OnlineKMeans(n_clusters=5, window=2)

    model.learn_many(pd.DataFrame({"clicks": [1.0, 2.0, 3.0, 4.0]}))

    newest = fixed(np.array([[3.0], [4.0]]))
    assert model.census == tally(newest, judge(newest, model.generation))


def test_memory_stays_within_the_window() -> None:
    model = OnlineKMeans(window=100)

    def sizes() -> Iterator[int]:
        for seed in range(4):
            learnt(model, users(300, seed))
            yield model._raw_memory_usage

    first, *later = sizes()
    assert max(later) < first * 1.1


def test_drift_is_a_rise_of_the_distance() -> None:
    noise = random.Random(1)

    def alarms(levels: list[float]) -> list[int]:
        watch = Drift()
        return [batch for batch, level in enumerate(levels) if watch.update(level + noise.gauss(0, 0.05))]

    assert alarms([1.0] * 1_000) == []
    assert alarms([1.0] * 300 + [0.4] * 300) == []
    (first, *_) = alarms([1.0] * 300 + [2.0] * 300)
    assert 300 <= first < 400


def test_the_estimator_shows_its_parameters() -> None:
    defaults = {"n_clusters": 3, "margin": 0.01, "grace_period": 100, "window": 10_000, "seed": 0}
    assert OnlineKMeans()._get_params() == defaults
    assert "grace_period=100" in repr(OnlineKMeans())
