"""K-Means' arithmetic against slow, plain versions of it, and against scikit-learn."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from segmenter.model.census import population, tally
from segmenter.model.generation import UNASSIGNED, Generation, Segment, digest
from segmenter.model.kmeans import assign, fit, inertia, judge, nearest, step, successor
from segmenter.model.vectors import MISSING, fixed

Matrix = NDArray[np.int64]
FEATURES = 3

numbers = st.one_of(st.just(MISSING), st.integers(0, 40), st.integers(0, 2**24))
rows = st.lists(st.lists(numbers, min_size=FEATURES, max_size=FEATURES), min_size=1, max_size=40)
points = rows.map(lambda rows: np.array(rows, dtype=np.int64))
coordinates = st.integers(0, 2**34).map(lambda n: n / 2**10)
centres = st.lists(st.tuples(*[coordinates] * FEATURES), min_size=1, max_size=5)
"""As means of integers have them: none so near to 0 that its square is no float."""


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
    pieces = [slug for batch in batches for slug in judge(batch, model)]

    assert pieces == [whole[row] for row in order]


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
    model: Generation | None = generation(centres, vectors)
    last = math.inf
    while model:
        now = inertia(vectors, model.centres, model.scale, model.fill)
        assert now <= last * (1 + 1e-12)
        last, current = now, model
        model = successor(tally(vectors, judge(vectors, current)), current, margin=0.0, now_ms=current.number)
        assert current.number < 300

    at_rest = KMeans(len(current.centres), init=np.array(current.centres) / current.scale, n_init=1, max_iter=1)
    users = filled(vectors, current.fill) / current.scale
    if len(set(judge(vectors, current))) == len(current.centres):
        assert at_rest.fit(users).inertia_ == pytest.approx(last, rel=1e-9, abs=1e-9)


def test_a_step_is_taken_for_its_margin_only() -> None:
    vectors = groups(1_000, seed=5)
    model = generation([(0.0,) * 4, (2.0**24,) * 4], vectors[:100])
    census = tally(vectors, judge(vectors, model))
    centres, scale, fill, gain = step(census, model)

    next_one = successor(census, model, margin=gain, now_ms=77)

    assert gain > 0
    assert successor(census, model, margin=math.nextafter(gain, 1.0), now_ms=77) is None
    assert next_one is not None
    assert (next_one.number, next_one.cause, next_one.created_ms, next_one.gain) == (2, "step", 77, gain)
    assert (next_one.centres, next_one.scale, next_one.fill) == (centres, scale, fill)
    assert (next_one.segments, next_one.population, next_one.fitted_population) == (model.segments, 1_000, 100)


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


def test_nobody_makes_no_centres() -> None:
    assert fit(np.zeros((0, 3), dtype=np.int64), 3, 0, 2, (1.0,) * 3, (0.0,) * 3) == ((), 0.0)


def test_a_generation_survives_its_json_and_names_itself_by_it() -> None:
    model = generation([(0.1, 1 / 3, 2e7)], np.array([[1, 2, 3]]))

    again = Generation.decode(model.encode())

    assert again == model
    assert digest(again) == digest(model)
    assert digest(model) != digest(generation([(0.1, math.nextafter(1 / 3, 1), 2e7)], np.array([[1, 2, 3]])))
