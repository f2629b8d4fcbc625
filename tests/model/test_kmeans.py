"""K-Means' arithmetic against slow, plain versions of it, and against scikit-learn."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from segmenter.model.census import population, tally
from segmenter.model.generation import UNASSIGNED, Generation, Segment, digest
from segmenter.model.kmeans import assign, fit, fit_crowds, inertia, judge, least_users, nearest, step
from segmenter.model.vectors import MISSING, fixed

Matrix = NDArray[np.int64]
FEATURES = 3

numbers = st.one_of(st.just(MISSING), st.integers(0, 40), st.integers(0, 2**24))
rows = st.lists(st.lists(numbers, min_size=FEATURES, max_size=FEATURES), min_size=1, max_size=40)
points = rows.map(lambda rows: np.array(rows, dtype=np.int64))
coordinates = st.integers(0, 2**34).map(lambda n: n / 2**10)
centres = st.lists(st.tuples(*[coordinates] * FEATURES), min_size=1, max_size=5)
"""As means of integers have them: none so near to 0 that its square is not a float."""


def generation(centres: list[tuple[float, ...]], vectors: Matrix) -> Generation:
    """These centres, with the scale and fill of the vectors."""
    users, fill, scale = population(tally(vectors, [UNASSIGNED] * len(vectors)))
    return Generation(
        number=1,
        cause="bootstrap",
        features=("a", "b", "c"),
        centres=tuple(centres),
        segments=tuple(Segment(id, f"s{id}", f"S{id}") for id in range(len(centres))),
        scale=scale,
        fill=fill,
        population=users,
        fitted_population=users,
        created_ms=0,
    )


def groups(n: int, seed: int) -> Matrix:
    """Users of four sorts, log-normal like real ones; a tenth of the numbers is missing."""
    random = np.random.default_rng(seed)
    typical = np.array([[1.0, 0.5, 4.0, 5.0], [3.0, 0.5, 6.0, 7.0], [4.0, 3.0, 8.0, 7.0], [6.0, 4.0, 10.0, 11.0]])
    vectors = fixed(np.exp(random.normal(typical[random.integers(0, 4, n)], 0.7)))
    vectors[random.random(vectors.shape) < 0.1] = MISSING
    return vectors


def filled(vectors: Matrix, fill: tuple[float, ...]) -> NDArray[np.float64]:
    return np.where(vectors == MISSING, fill, vectors)


def squared_distance(vector: list[int], centre: tuple[float, ...], model: Generation) -> float:
    """By the definition: one vector, one centre."""
    total = 0.0
    for x, c, scale, fill in zip(vector, centre, model.scale, model.fill, strict=True):
        gap = (fill if x == MISSING else float(x)) - c
        total += gap * gap * (1.0 / (scale * scale))
    return total


@settings(deadline=None)
@given(points, centres)
def test_a_vector_belongs_to_the_first_nearest_centre(vectors: Matrix, centres: list[tuple[float, ...]]) -> None:
    model = generation(centres, vectors)
    distances = [[squared_distance(row, centre, model) for centre in centres] for row in vectors.tolist()]

    indices, least = nearest(vectors, model.centres, model.scale, model.fill)

    assert indices.tolist() == [row.index(min(row)) for row in distances]
    assert least.tolist() == [min(row) for row in distances]
    assert assign(vectors, model).tolist() == indices.tolist()
    assert inertia(vectors, model.centres, model.scale, model.fill) == math.fsum(least.tolist())


def test_of_equally_near_centres_the_first_wins() -> None:
    model = generation([(0.0,) * 3, (2.0,) * 3, (0.0,) * 3], np.array([[1, 1, 1]]))

    assert assign(np.array([[1, 1, 1], [0, 0, 0], [2, 2, 2]]), model).tolist() == [0, 0, 1]


@settings(deadline=None)
@given(points, centres, st.randoms(use_true_random=False))
def test_any_batch_split_and_order_judges_alike(
    vectors: Matrix, centres: list[tuple[float, ...]], random: random.Random
) -> None:
    model = generation(centres, vectors)
    whole = judge(vectors, model)
    order = random.sample(range(len(vectors)), len(vectors))
    cuts = sorted(random.choices(range(len(vectors) + 1), k=3))

    batches = np.split(np.asfortranarray(vectors[order]), cuts)
    split = [slug for batch in batches for slug in judge(batch, model)]

    assert split == [whole[row] for row in order]


def test_before_the_first_generation_all_are_unassigned() -> None:
    assert judge(np.zeros((2, 3), dtype=np.int64), None) == [UNASSIGNED, UNASSIGNED]


@settings(deadline=None)
@given(points, centres)
def test_a_step_from_the_census_is_the_step_from_the_points(vectors: Matrix, centres: list[tuple[float, ...]]) -> None:
    """Means and gain of Lloyd's step, in fractions over the points."""
    model = generation(centres, vectors)
    labels = assign(vectors, model).tolist()

    taken = step(tally(vectors, judge(vectors, model)), model)

    users = [[Fraction(x) for x in row] for row in filled(vectors, model.fill).tolist()]
    before = after = Fraction(0)
    for index, old in enumerate(centres):
        mine = [user for user, label in zip(users, labels, strict=True) if label == index]
        new = [sum(column) / len(mine) for column in zip(*mine, strict=True)] if mine else list(old)
        assert taken.centres[index] == pytest.approx([float(x) for x in new], rel=1e-9, abs=1e-9)
        for user in mine:
            for x, was, now, scale in zip(user, old, new, model.scale, strict=True):
                before += ((x - Fraction(was)) / Fraction(scale)) ** 2
                after += ((x - Fraction(now)) / Fraction(scale)) ** 2
    assert (taken.scale, taken.fill) == (model.scale, model.fill)
    assert taken.gain == pytest.approx(float((before - after) / before) if before else 0.0, rel=1e-6, abs=1e-9)


def test_a_step_follows_the_scale_and_fill_of_the_population_of_now() -> None:
    """The gain is that of the real points, though the generation was made for other ones."""
    vectors = groups(2_000, seed=3)
    model = generation(list(fit(vectors[:200], 4, 0, 1, (1.0,) * 4, (0.0,) * 4).centres), vectors[:200])
    labels = assign(vectors, model)

    taken = step(tally(vectors, judge(vectors, model)), model)

    _, fill, scale = population(tally(vectors, [UNASSIGNED] * len(vectors)))
    assert (taken.fill, taken.scale) == (fill, scale)
    assert scale != model.scale
    users = filled(vectors, fill)
    before = (((users - np.array(model.centres)[labels]) / scale) ** 2).sum()
    after = (((users - np.array(taken.centres)[labels]) / scale) ** 2).sum()
    assert taken.gain == pytest.approx((before - after) / before, rel=1e-9)


@settings(deadline=None)
@given(points, centres)
def test_steps_never_raise_the_inertia_and_come_to_rest(vectors: Matrix, centres: list[tuple[float, ...]]) -> None:
    model = generation(centres, vectors)
    now, last = inertia(vectors, model.centres, model.scale, model.fill), math.inf
    for _ in range(300):
        taken = step(tally(vectors, judge(vectors, model)), model)
        if taken.centres == model.centres:
            break
        model = msgspec.structs.replace(model, centres=taken.centres)
        last, now = now, inertia(vectors, model.centres, model.scale, model.fill)
        assert now <= last * (1 + 1e-12)
    else:
        raise AssertionError("300 steps")

    at_rest = KMeans(len(model.centres), init=np.array(model.centres) / model.scale, n_init=1, max_iter=1)
    users = filled(vectors, model.fill) / model.scale
    if len(set(judge(vectors, model))) == len(model.centres):
        assert at_rest.fit(users).inertia_ == pytest.approx(now, rel=1e-9, abs=1e-9)


@settings(deadline=None)
@given(points, centres, st.integers(1, 5))
def test_some_centres_stay_and_the_gain_is_that_of_the_others(
    vectors: Matrix, centres: list[tuple[float, ...]], least: int
) -> None:
    model = generation(centres, vectors)
    census = tally(vectors, judge(vectors, model))

    whole, taken = step(census, model), step(census, model, least)

    assert all(new in (old, mean) for new, old, mean in zip(taken.centres, model.centres, whole.means, strict=True))
    assert (taken.means, whole.centres) == (whole.means, whole.means)
    users, labels = filled(vectors, model.fill) / model.scale, assign(vectors, model)
    before, after = (
        float(((users - np.array(points)[labels] / model.scale) ** 2).sum())
        for points in (model.centres, taken.centres)
    )
    assert taken.gain == pytest.approx((before - after) / before if before else 0.0, rel=1e-6, abs=1e-9)


def crowd_and_extremes(extremes: int) -> tuple[Generation, Matrix]:
    """A model of two crowds, 1,000 users about (10, 10, 10) and 100 about (30, 30, 30), and extremes next to these."""
    spread = np.random.default_rng(1).integers(-300, 301, (1_100, 3))
    crowds = np.repeat([[10_000] * 3, [30_000] * 3], [1_000, 100], axis=0) + spread
    vectors = np.concatenate([crowds, np.full((extremes, 3), 300_000)])
    return generation([tuple(crowds[:1_000].mean(axis=0)), tuple(crowds[1_000:].mean(axis=0))], crowds), vectors


@pytest.mark.parametrize("extremes", [1, 3, 10])
def test_a_few_extreme_users_do_not_pull_a_centre(extremes: int) -> None:
    model, vectors = crowd_and_extremes(extremes)
    census = tally(vectors, judge(vectors, model))
    assert census["s1"].users == 100 + extremes

    assert step(census, model, least_users(len(vectors), 2)).centres == model.centres
    assert step(census, model).centres[1] != model.centres[1]


def test_a_crowd_does(extremes: int = 100) -> None:
    model, vectors = crowd_and_extremes(extremes)
    census = tally(vectors, judge(vectors, model))

    assert step(census, model, least_users(len(vectors), 2)).centres[1] == step(census, model).means[1]


def test_a_segment_without_users_keeps_its_centre() -> None:
    model = generation([(0.0,) * 3, (1e9,) * 3], np.array([[1, 2, 3], [3, 4, 5]]))

    taken = step(tally(np.array([[1, 2, 3], [3, 4, 5]]), ["s0", "s0"]), model)

    assert taken.centres == ((2.0, 3.0, 4.0), (1e9, 1e9, 1e9))


def test_unassigned_users_count_in_scale_and_fill_alone() -> None:
    model = generation([(0.0,) * 3], np.array([[1, 2, 3]]))

    taken = step(tally(np.array([[1, 2, 3], [3, 6, 9]]), ["s0", UNASSIGNED]), model)

    assert taken.centres == ((1.0, 2.0, 3.0),)
    assert taken.fill == (2.0, 4.0, 6.0)


@pytest.mark.parametrize(("k", "seed"), [(2, 1), (3, 2), (4, 3), (8, 4)])
def test_a_fit_is_as_good_as_scikit_learns(k: int, seed: int) -> None:
    vectors = groups(1_500, seed)
    _, fill, scale = population(tally(vectors, [UNASSIGNED] * len(vectors)))

    found = fit(vectors, k, seed, starts=8, scale=scale, fill=fill)

    theirs = KMeans(k, n_init=10, random_state=0).fit(filled(vectors, fill) / scale)
    assert len(found.centres) == k
    assert found.inertia <= theirs.inertia_ * 1.02
    own = ((filled(vectors, fill)[:, None, :] - np.array(found.centres)) / scale) ** 2
    assert found.inertia == pytest.approx(own.sum(axis=2).min(axis=1).sum(), rel=1e-9)


def test_a_fit_depends_on_its_seed_alone() -> None:
    vectors = groups(300, seed=1)

    def once(seed: int) -> object:
        return fit(vectors, 6, seed, starts=1, scale=(1.0,) * 4, fill=(0.0,) * 4)

    assert once(7) == once(7)
    assert len({str(once(seed)) for seed in range(10)}) > 1


@settings(deadline=None)
@given(points, st.integers(1, 6), st.integers(0, 9))
def test_fewer_different_points_than_k_make_fewer_centres(vectors: Matrix, k: int, seed: int) -> None:
    _, fill, scale = population(tally(vectors, [UNASSIGNED] * len(vectors)))
    different = {tuple(row) for row in filled(vectors, fill).tolist()}
    assume(len(different) <= k)

    found = fit(vectors, k, seed, starts=2, scale=scale, fill=fill)

    assert len(found.centres) == len(different)
    assert found.inertia == pytest.approx(0.0, abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(points, st.integers(1, 6), st.integers(0, 9))
def test_every_centre_has_its_share_of_the_users(vectors: Matrix, k: int, seed: int) -> None:
    _, fill, scale = population(tally(vectors, [UNASSIGNED] * len(vectors)))
    least = least_users(len(vectors), k)

    kept, found = fit_crowds(vectors, k, seed, starts=2, scale=scale, fill=fill)

    sizes = np.bincount(nearest(vectors, found.centres, scale, fill)[0], minlength=len(found.centres))
    assert 1 <= len(found.centres) <= k
    assert sizes.min() >= least
    assert len(vectors) - len(kept) <= k * least


@pytest.mark.parametrize("whales", [1, 3])
def test_a_few_extreme_points_do_not_move_a_fit(whales: int) -> None:
    """Far away from all and from each other, they get no centre: the fit is that of the others."""
    crowd = groups(400, seed=2)
    extreme = np.array([[2**27 * (1 + n), 0, 2**24, MISSING] for n in range(whales)])
    vectors = np.concatenate([crowd, extreme])
    _, fill, scale = population(tally(vectors, [UNASSIGNED] * len(vectors)))
    assert np.bincount(nearest(vectors, fit(vectors, 3, 0, 8, scale, fill).centres, scale, fill)[0]).min() <= whales

    kept, found = fit_crowds(vectors, 3, 0, 8, scale, fill)

    assert kept.tolist() == crowd.tolist()
    assert found == fit(crowd, 3, 0, 8, scale, fill)


def test_where_all_points_but_a_few_are_alike_there_is_one_centre() -> None:
    vectors = np.array([[5, 5, 5]] * 100 + [[9000, 5, 5], [5, 70_000, 5]])

    kept, found = fit_crowds(vectors, 3, 0, 8, (1.0,) * 3, (0.0,) * 3)

    assert (len(kept), found.centres, found.inertia) == (100, ((5.0, 5.0, 5.0),), 0.0)


def alone(count: int) -> list[list[int]]:
    """Users each of whom is far from all others."""
    return [[2**number * 50_000, 0, 0] for number in range(count)]


@pytest.mark.parametrize(("extremes", "left_out"), [(14, 14), (15, 15), (16, 15)])
def test_as_many_are_left_out_as_the_centres_have_room_for(extremes: int, left_out: int) -> None:
    """Five for each of three centres; of one more, the rest counts with the others."""
    vectors = np.array([[5, 5, 5]] * 100 + alone(extremes))

    kept, found = fit_crowds(vectors, 3, 0, 8, (1.0,) * 3, (0.0,) * 3)

    assert len(vectors) - len(kept) == left_out
    assert len(found.centres) == 1


def test_where_there_is_no_room_left_there_is_one_centre_fewer() -> None:
    """Twelve extreme users are left out; four others then belong to the nearer crowd."""
    crowds = [[0, 0, 0]] * 100 + [[10_000, 0, 0]] * 100 + [[13_000, 0, 0]] * 4

    kept, found = fit_crowds(np.array(crowds + alone(12)), 3, 0, 8, (1.0,) * 3, (0.0,) * 3)

    assert kept.tolist() == crowds
    assert sorted(found.centres) == [(0.0, 0.0, 0.0), (pytest.approx(10_000 + 3_000 * 4 / 104), 0.0, 0.0)]


def test_nobody_makes_no_centres() -> None:
    nobody = np.zeros((0, 3), dtype=np.int64)
    assert fit(nobody, 3, 0, 2, (1.0,) * 3, (0.0,) * 3) == ((), 0.0)
    assert fit_crowds(nobody, 3, 0, 2, (1.0,) * 3, (0.0,) * 3)[1] == ((), 0.0)


def test_a_generation_survives_its_json_and_names_itself_by_it() -> None:
    model = generation([(0.1, 1 / 3, 2e7)], np.array([[1, 2, 3]]))

    again = Generation.decode(model.encode())

    assert again == model
    assert digest(again) == digest(model)
    assert digest(model) != digest(generation([(0.1, math.nextafter(1 / 3, 1), 2e7)], np.array([[1, 2, 3]])))
