"""Vectors: what each feature becomes, and the text a row keeps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmenter.model.features import features
from segmenter.model.vectors import MISSING, SCALE_BITS, decode, encode, fixed, vectors
from tests.defaults import FEATURES

FIELDS = ("clicks", "clicks_timed", "click_ms", "searches", "views", "views_timed", "view_ms")
counts = st.one_of(st.integers(0, 2), st.integers(0, 2**40))
profile = st.fixed_dictionaries(dict.fromkeys(FIELDS, counts))


def plain(profile: dict[str, int]) -> dict[str, int | float | None]:
    """The features by their definition."""
    return {
        "total_clicks": profile["clicks"],
        "total_searches": profile["searches"],
        "mean_click_ms": profile["click_ms"] / profile["clicks_timed"] if profile["clicks_timed"] else None,
        "mean_view_ms": profile["view_ms"] / profile["views_timed"] if profile["views_timed"] else None,
    }


def number(value: float | None) -> int:
    """One number of a vector, by the definition and without numpy."""
    return MISSING if value is None else round(math.log1p(value) * 2**SCALE_BITS)


@given(profile)
def test_the_features_of_a_profile(profile: dict[str, int]) -> None:
    """In the order of a vector; what nobody has measured is missing, not 0."""
    assert list(features(profile, FEATURES).items()) == list(plain(profile).items())
    assert features(dict.fromkeys(FIELDS, 0), FEATURES) == {
        "total_clicks": 0, "total_searches": 0, "mean_click_ms": None, "mean_view_ms": None
    }  # fmt: skip


@settings(deadline=None)
@given(st.lists(profile, min_size=1, max_size=20))
def test_a_vector_is_log1p_of_the_features_in_fixed_point(profiles: list[dict[str, int]]) -> None:
    made = vectors({name: np.array([profile[name] for profile in profiles]) for name in FIELDS}, FEATURES)

    assert made.dtype == np.int64
    assert made.shape == (len(profiles), len(FEATURES))
    for row, profile in zip(made.tolist(), profiles, strict=True):
        for have, value in zip(row, plain(profile).values(), strict=True):
            assert abs(have - number(value)) <= 1  # numpy's log1p and math's may differ in the last bit
            assert (have == MISSING) == (value is None)


def test_no_profiles_make_no_vectors() -> None:
    assert vectors({name: np.array([], dtype=np.int64) for name in FIELDS}, FEATURES).shape == (0, len(FEATURES))


def test_without_features_vectors_are_empty() -> None:
    """As before the first generation."""
    assert vectors({name: np.array([1, 2, 3]) for name in FIELDS}, ()).shape == (3, 0)


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_a_finite_number_never_reads_as_missing_and_keeps_its_sign(values: list[float]) -> None:
    made = fixed(np.array(values))

    assert MISSING not in made.tolist()
    assert all(have * value >= 0 for have, value in zip(made.tolist(), np.sign(values).tolist(), strict=True))


def test_the_number_next_below_zero_is_not_missing() -> None:
    assert fixed(np.array([-(2.0**-SCALE_BITS), -(2.0 ** (1 - SCALE_BITS))])).tolist() == [0, -2]


@pytest.mark.parametrize("vector", [(), (0,), (MISSING,), (MISSING, MISSING), (0, MISSING, 7), (-5, 2**40)])
def test_a_vector_survives_its_text(vector: tuple[int, ...]) -> None:
    assert decode(encode(vector)) == vector


@settings(deadline=None)
@given(st.lists(st.integers()).map(tuple))
def test_any_vector_survives_its_text(vector: tuple[int, ...]) -> None:
    assert decode(encode(vector)) == vector
