"""A row as Redis keeps it: read as it was written, or refused."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmenter.model.generation import NO_SPACE, Space
from segmenter.shards.row import FIELDS, LARGEST_COORDINATE, Row, decode, decode_basis, encode
from tests.defaults import FIELDS as PROFILE
from tests.defaults import NAMES, TOPICS, decode_profile

offsets = st.dictionaries(st.sampled_from(sorted(TOPICS)), st.integers(0, 2**50), max_size=3)
rows = st.builds(
    Row,
    st.binary(min_size=1, max_size=20),
    st.sampled_from(["unassigned", "low", "höher"]),
    st.integers(0, 2**40),
    st.tuples(*[st.integers(0, 2**50)] * len(PROFILE)),
    offsets,
    st.lists(st.integers(-LARGEST_COORDINATE, LARGEST_COORDINATE), max_size=6).map(tuple),
)
ROW = Row(b"u1", "low", 3, (1, 1, 250, 0, 0, 0, 0, 10, 20), {"views": 7}, (5, 0, -1, 9))


def stored(row: Row) -> dict[str, bytes]:
    """The fields as a Redis would give them back."""
    values = dict(zip(FIELDS, encode(row, PROFILE), strict=True))
    return {name: each if isinstance(each, bytes) else str(each).encode() for name, each in values.items()}


def read(fields: Mapping[str, bytes | None]) -> Row | None:
    return decode(b"u1", [fields[name] for name in FIELDS], decode_profile)


@given(rows)
def test_a_row_survives_its_encoding(row: Row) -> None:
    fields = stored(row)
    assert decode(row.user, list(fields.values()), decode_profile) == row
    assert decode_basis(fields["profile"], fields["offsets"], decode_profile) == (row.profile, row.offsets)


def test_a_row_is_as_it_is_documented() -> None:
    fields = stored(ROW)
    assert fields["segment"] == b"low" and fields["generation"] == b"3" and fields["vector"] == b"5,0,,9"
    assert json.loads(fields["profile"]) == dict(zip(PROFILE, ROW.profile, strict=True))
    assert json.loads(fields["offsets"]) == {"views": 7}


def test_no_field_is_no_row() -> None:
    assert read(dict.fromkeys(FIELDS)) is None


@pytest.mark.parametrize("name", FIELDS)
def test_a_row_without_a_field_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^a field is missing$"):
        read(stored(ROW) | {name: None})
    with pytest.raises(ValueError, match=r"^a field is missing$"):
        read(dict.fromkeys(FIELDS) | {name: stored(ROW)[name]})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("segment", b"\xff"),
        ("generation", b"three"),
        ("generation", b"3.5"),
        ("profile", b"{}"),
        ("profile", b"[1]"),
        ("profile", b'{"first_ms":1,"last_ms":1,"purchases":1}'),
        ("offsets", b'{"views":"7"}'),
        ("offsets", b""),
        ("vector", b"5,0,,x"),
        ("vector", b"5,0,,1.5"),
        ("vector", b"5,0,,%d" % (2**31 + 1)),
        ("vector", b"5,0,,%d" % (-(2**31) - 1)),
        ("vector", b"\xff"),
    ],
)
def test_a_value_that_no_row_has_is_refused(name: str, value: bytes) -> None:
    with pytest.raises(ValueError):
        read(stored(ROW) | {name: value})


def test_a_vector_of_another_length_or_size_is_none_of_a_user() -> None:
    """The length is that of the space in which the row was judged."""
    for vector in (b"%d,0,," % (2**31 + 1), b"0,0,,%d" % (-(2**31) - 1)):
        with pytest.raises(ValueError, match=r"^the vector is not one of a user$"):
            read(stored(ROW) | {"vector": vector})
    largest = read(stored(ROW) | {"vector": b"%d,%d,," % (2**31, -(2**31))})
    assert largest is not None and largest.vector == (2**31, -(2**31), -1, -1)
    for vector, fits in ((b"5,0,,9", True), (b"5,0,", False), (b"5,0,,9,9", False), (b"-", False)):
        found = read(stored(ROW) | {"vector": vector})
        assert found is not None and found.fits(Space(NAMES, ROW.generation)) is fits


@pytest.mark.parametrize(
    ("since", "features", "adds"),
    [
        (3, NAMES, ROW.vector),
        (1, NAMES, ROW.vector),
        (0, NAMES, ROW.vector),
        (4, NAMES, (-1, -1, -1, -1)),
        (4, ("a", "b"), (-1, -1)),
        (4, (), ()),
    ],
)
def test_a_vector_counts_if_it_is_made_of_the_features_of_the_census(
    since: int, features: tuple[str, ...], adds: tuple[int, ...]
) -> None:
    """If the row was judged by them, so not before they came; else the user is there, without any of them."""
    space = Space(features, since)
    assert ROW.counted(space) == adds and ROW.fits(space)
    assert ROW.is_in(space) is (since <= ROW.generation)


def test_before_the_first_generation_no_vector_counts() -> None:
    """Also not one that version 0.1.0, which made them nevertheless, has left."""
    for vector in ((), (5, 0, -1, 9)):
        row = ROW._replace(segment="unassigned", generation=0, vector=vector)
        assert row.fits(NO_SPACE) and not row.is_in(NO_SPACE) and row.counted(NO_SPACE) == ()
        assert row.counted(Space(NAMES, 1)) == (-1,) * 4
