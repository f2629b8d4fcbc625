"""Profiles as a row keeps them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmenter.model.profiles import LARGEST, decode, encode
from tests.defaults import FIELDS

profile = st.tuples(*[st.integers(-LARGEST, LARGEST)] * len(FIELDS))


@given(profile)
def test_a_profile_is_json_by_name_and_survives_it(profile: tuple[int, ...]) -> None:
    assert json.loads(encode(profile)) == dict(zip(FIELDS, profile, strict=True))
    assert decode(encode(profile)) == profile
    turned = dict(reversed(json.loads(encode(profile)).items()))
    assert decode(json.dumps(turned | {"of a later version": 1}).encode()) == profile


@pytest.mark.parametrize("length", [8, 10])
def test_a_profile_has_all_its_numbers_and_no_more(length: int) -> None:
    with pytest.raises(ValueError, match="argument 2"):
        encode((1,) * length)


@pytest.mark.parametrize("name", FIELDS)
def test_a_profile_without_a_field_names_it(name: str) -> None:
    fields = dict.fromkeys(FIELDS, 1)
    del fields[name]
    with pytest.raises(ValueError, match=f"the profile has no '{name}'"):
        decode(json.dumps(fields).encode())


@pytest.mark.parametrize("value", [None, "1", 1.5, LARGEST + 1, -LARGEST - 1, [1]])
def test_a_number_that_no_profile_has_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"\$\[\.\.\.\]"):
        decode(json.dumps(dict.fromkeys(FIELDS, 1) | {"clicks": value}).encode())


@pytest.mark.parametrize("stored", [b"", b"[]", b"{", b"\xff"])
def test_what_is_no_json_object_is_refused(stored: bytes) -> None:
    with pytest.raises(ValueError):
        decode(stored)
