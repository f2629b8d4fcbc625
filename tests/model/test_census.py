"""The census: exact, and a function of the set of users alone."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from segmenter.model.census import UNIT, Census, Tally, decode, encode, merged, moved, population, tally
from segmenter.model.vectors import MISSING

SLUGS = ("low", "moderate", "high")
Judged = tuple[tuple[int, int], str]

judged = st.tuples(st.tuples(st.integers(-1, 2**26), st.integers(-1, 2**26)), st.sampled_from(SLUGS))
lives = st.lists(st.lists(judged, min_size=1, max_size=5), max_size=12)
"""For each user, the vectors and segments that it has had, one after the other."""


def slow(users: Iterable[Judged]) -> Census:
    """The census of the users, one number at a time."""
    census: Census = {}
    for vector, slug in users:
        have = census.get(slug, Tally(0, (0, 0), (0, 0), (0, 0)))
        given = [0 if x == MISSING else x for x in vector]
        census[slug] = Tally(
            have.users + 1,
            (have.present[0] + (vector[0] != MISSING), have.present[1] + (vector[1] != MISSING)),
            (have.sums[0] + given[0], have.sums[1] + given[1]),
            (have.squares[0] + given[0] ** 2, have.squares[1] + given[1] ** 2),
        )
    return census


def matrix(users: list[Judged]) -> NDArray[np.int64]:
    return np.array([vector for vector, _ in users], dtype=np.int64).reshape(-1, 2)


def slugs(users: list[Judged]) -> list[str]:
    return [slug for _, slug in users]


def commit(census: Census, before: list[Judged], after: list[Judged]) -> Census:
    return moved(census, matrix(before), slugs(before), matrix(after), slugs(after))


@settings(deadline=None)
@given(lives, st.randoms(use_true_random=False))
def test_any_order_and_split_of_the_same_moves_ends_in_the_same_census(
    lives: list[list[Judged]], random: random.Random
) -> None:
    """Users interleave as they like; a batch brings some of them from where they stood to a later point."""
    census: Census = {}
    at: dict[int, int] = {}
    while waiting := [user for user, life in enumerate(lives) if at.get(user, -1) < len(life) - 1]:
        batch = random.sample(waiting, random.randint(1, len(waiting)))
        to = {user: random.randint(at.get(user, -1) + 1, len(lives[user]) - 1) for user in batch}
        before = [lives[user][at[user]] for user in batch if user in at]
        census = commit(census, before, [lives[user][to[user]] for user in reversed(batch)])
        at |= to

    assert census == slow([life[-1] for life in lives])
    assert encode(census) == encode(tally(matrix([life[-1] for life in lives]), slugs([life[-1] for life in lives])))


@settings(deadline=None)
@given(st.lists(judged, max_size=12), st.lists(judged, max_size=12))
def test_who_is_forgotten_leaves_no_trace(stay: list[Judged], go: list[Judged]) -> None:
    with_all = commit({}, [], stay + go)

    assert commit(with_all, go, []) == slow(stay)


@settings(deadline=None)
@given(st.lists(judged, max_size=12), st.lists(judged, max_size=12))
def test_shards_add_up(one: list[Judged], other: list[Judged]) -> None:
    assert merged([slow(one), slow(other)]) == slow(one + other)


@pytest.mark.parametrize("labels", [["low"], ["low"] * 3])
def test_every_vector_needs_its_segment(labels: list[str]) -> None:
    """A user without one would silently be missing from the census."""
    with pytest.raises(ValueError, match="argument 2"):
        tally(np.zeros((2, 1), dtype=np.int64), labels)


@pytest.mark.parametrize("value", [2**26, 2**31, 3_037_000_499])
def test_squares_beyond_64_bits_are_exact(value: int) -> None:
    rows = 10_000

    counted = tally(np.full((rows, 1), value), ["high"] * rows)["high"]

    assert counted == Tally(rows, (rows,), (rows * value,), (rows * value**2,))
    assert counted.squares[0] > 2**63
    assert decode(encode({"high": counted})) == {"high": counted}


def test_the_same_census_is_the_same_bytes() -> None:
    one, other = Tally(1, (1,), (5,), (25,)), Tally(2, (0,), (0,), (0,))

    assert encode({"low": one, "high": other}) == encode({"high": other, "low": one})


@settings(deadline=None)
@given(
    st.lists(st.lists(st.sampled_from([MISSING, 0, 3, 1000, 2**24]), min_size=3, max_size=3), min_size=1, max_size=30)
)
def test_fill_and_scale_are_those_of_scikit_learn(rows: list[list[int]]) -> None:
    """Missing values become the mean, then StandardScaler."""
    vectors = np.array(rows)
    present = [[x for x in column if x != MISSING] for column in vectors.T.tolist()]
    means = [sum(column) / len(column) if column else 0.0 for column in present]
    filled = np.where(vectors == MISSING, means, vectors)

    users, fill, scale = population(tally(vectors, [SLUGS[index % 3] for index in range(len(rows))]))

    expected = StandardScaler().fit(filled)
    assert users == len(rows)
    assert fill == pytest.approx(means, rel=1e-12)
    constant = np.ptp(filled, axis=0) == 0
    assert scale == pytest.approx(np.where(constant, UNIT, np.sqrt(expected.var_)).tolist(), rel=1e-9)


def test_the_population_does_not_depend_on_how_it_is_split() -> None:
    """And is rounded once, at the end: the nearest numbers to the exact ones."""
    rows = np.random.default_rng(1).integers(-1, 2**25, (500, 4))
    columns = [[x for x in column if x != MISSING] for column in rows.T.tolist()]
    means = [Fraction(sum(column), len(column)) for column in columns]
    variances = [
        sum((x - mean) ** 2 for x in column) / Fraction(500) for column, mean in zip(columns, means, strict=True)
    ]

    for labels in (["low"] * 500, map(str, range(500)), ["low", "high"] * 250):
        users, fill, scale = population(tally(rows, labels))

        assert (users, fill) == (500, tuple(float(mean) for mean in means))
        assert scale == tuple(math.sqrt(variance) for variance in variances)


ZERO = Tally(0, (0, 0), (0, 0), (0, 0))


@settings(deadline=None)
@given(st.lists(judged, max_size=8), st.lists(judged, max_size=8))
def test_tallies_are_a_group(one: list[Judged], other: list[Judged]) -> None:
    """So what is taken back leaves exactly what was there."""
    left, right = ([(vector, "low") for vector, _ in users] for users in (one, other))
    a, b, both = (slow(users).get("low", ZERO) for users in (left, right, left + right))
    assert a + b == both and both + -b == a and a + ZERO == a
    assert not a + -a and bool(a) == bool(one)


@pytest.mark.parametrize(
    "part", [Tally(1, (0, 0), (0, 0), (0, 0)), Tally(0, (0, 1), (0, 0), (0, 0)), Tally(0, (0, 0), (3, 0), (0, 0)),
             Tally(0, (0, 0), (0, 0), (0, -3)), Tally(-1, (0, 0), (0, 0), (0, 0))]
)  # fmt: skip
def test_whatever_is_left_over_is_kept(part: Tally) -> None:
    """Only what is zero in every number may be dropped: else a fault would vanish."""
    assert merged([{"low": part}]) == {"low": part}
    assert merged([{"low": part}, {"low": -part}]) == {}


@settings(deadline=None)
@given(st.lists(judged, max_size=8))
def test_what_users_add_up_to_is_possible(users: list[Judged]) -> None:
    assert all(part.is_possible() for part in slow(users).values())


@pytest.mark.parametrize(
    "part",
    [
        Tally(-1, (0,), (0,), (0,)),
        Tally(2, (3,), (3,), (9,)),
        Tally(2, (-1,), (0,), (0,)),
        Tally(2, (0,), (1,), (1,)),
        Tally(2, (0,), (0,), (1,)),
        Tally(2, (2,), (6,), (17,)),
        Tally(2, (1,), (4,), (15,)),
        Tally(2, (2,), (1,), (-1,)),
        Tally(2, (2, 2), (6, 6), (18, 17)),
    ],
    ids=str,
)
def test_what_no_users_add_up_to_is_not(part: Tally) -> None:
    assert not part.is_possible()


def test_the_least_that_users_can_add_up_to_is_possible() -> None:
    """All alike: the squares are as small as the sum allows."""
    assert Tally(2, (2, 0), (6, 0), (18, 0)).is_possible()
    assert not Tally(2, (2, 0), (6, 0), (17, 0)).is_possible()


def test_a_census_is_json_in_the_order_of_its_slugs() -> None:
    one = Tally(1, (1, 0), (5, 0), (25, 0))
    assert encode({"low": one, "high": one}) == b'{"high":[1,[1,0],[5,0],[25,0]],"low":[1,[1,0],[5,0],[25,0]]}'


def test_nobody_has_no_mean_and_the_scale_of_one_unit() -> None:
    assert population({"low": ZERO}) == (0, (0.0, 0.0), (UNIT, UNIT))
    assert population({}) == (0, (), ())
