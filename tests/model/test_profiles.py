"""Profiles as a row keeps them."""

from __future__ import annotations

import json
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmenter.kinds import BUILT_IN, DEFAULT, Kind
from segmenter.model.profiles import LARGEST, TIMES, decoder, encode, fields
from tests.defaults import FIELDS, SEARCH, decode_profile

ALL = tuple(BUILT_IN.values())
profile = st.tuples(*[st.integers(-LARGEST, LARGEST)] * len(FIELDS))


@given(profile)
def test_a_profile_is_json_by_name_and_survives_it(profile: tuple[int, ...]) -> None:
    assert json.loads(encode(profile, FIELDS)) == dict(zip(FIELDS, profile, strict=True))
    assert decode_profile(encode(profile, FIELDS)) == profile
    turned = dict(reversed(json.loads(encode(profile, FIELDS)).items()))
    assert decode_profile(json.dumps(turned).encode()) == profile


@pytest.mark.parametrize("length", [8, 10])
def test_a_profile_has_all_its_numbers_and_no_more(length: int) -> None:
    with pytest.raises(ValueError, match="argument 2"):
        encode((1,) * length, FIELDS)


@pytest.mark.parametrize("name", ["of a later version", "purchases", "", "FIRST_MS"])
def test_a_field_that_no_kind_has_is_refused_and_named(name: str) -> None:
    """Somebody else counts what is unknown here: a row that was written without it would lose that."""
    with pytest.raises(ValueError, match=f"unknown field `{name}`"):
        decode_profile(json.dumps(dict.fromkeys(FIELDS, 1) | {name: 1}).encode())


@pytest.mark.parametrize("name", TIMES)
def test_a_profile_without_a_time_names_it(name: str) -> None:
    named = dict.fromkeys(FIELDS, 1)
    del named[name]
    with pytest.raises(ValueError, match=f"missing required field `{name}`"):
        decode_profile(json.dumps(named).encode())


@pytest.mark.parametrize("before", [few for size in range(len(ALL)) for few in combinations(ALL, size)])
def test_who_was_written_before_a_kind_was_added_has_done_it_never(before: tuple[Kind, ...]) -> None:
    """Whichever kinds there were then: their numbers stay, in the order of now."""
    known = dict(zip(fields(before), range(1, 99), strict=False))
    read = decoder(ALL)(encode(tuple(known.values()), tuple(known)))
    assert dict(zip(fields(ALL), read, strict=True)) == dict.fromkeys(fields(ALL), 0) | known


@pytest.mark.parametrize("name", ["clicks", "clicks_timed", "click_ms", "view_ms"])
def test_a_profile_with_a_part_of_a_kind_names_what_is_missing(name: str) -> None:
    """No version has written that."""
    named = dict.fromkeys(FIELDS, 1)
    del named[name]
    with pytest.raises(ValueError, match=f"^the profile has no '{name}'$"):
        decode_profile(json.dumps(named).encode())


@pytest.mark.parametrize("value", [None, "1", 1.5, LARGEST + 1, -LARGEST - 1, [1]])
@pytest.mark.parametrize("name", FIELDS)
def test_a_number_that_no_profile_has_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"at `\$\.{name}`"):
        decode_profile(json.dumps(dict.fromkeys(FIELDS, 1) | {name: value}).encode())


@pytest.mark.parametrize("sum_", [2**63 - 1, -(2**63)])
def test_a_sum_of_amounts_may_fill_its_64_bits(sum_: int) -> None:
    """And no more; no other number of the kind comes near."""
    kinds = (SEARCH, BUILT_IN["purchase"])
    named = dict.fromkeys(fields(kinds), 1) | {"purchase_amount": sum_}
    profile = tuple(named.values())
    assert decoder(kinds)(encode(profile, fields(kinds))) == profile
    for name, beyond in (("purchase_amount", sum_ + (1 if sum_ > 0 else -1)), ("purchases_priced", sum_)):
        with pytest.raises(ValueError, match=name):
            decoder(kinds)(json.dumps(named | {name: beyond}).encode())


@pytest.mark.parametrize("stored", [b"", b"[]", b"{", b"{}", b"\xff"])
def test_what_is_no_json_object_is_refused(stored: bytes) -> None:
    with pytest.raises(ValueError):
        decode_profile(stored)


def test_the_fields_are_those_of_the_kinds_and_then_the_times() -> None:
    assert fields(DEFAULT) == FIELDS == (
        "clicks", "clicks_timed", "click_ms", "searches", "views", "views_timed", "view_ms", "first_ms", "last_ms",
    )  # fmt: skip
    assert fields(ALL)[len(FIELDS) - 2 :] == (
        "purchases", "purchases_priced", "purchase_amount", "social_actions", "first_ms", "last_ms",
    )  # fmt: skip
