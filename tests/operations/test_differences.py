"""What differs between a shard's rows and what is kept beside them, and how it is said."""

from __future__ import annotations

from segmenter.model.census import Tally
from segmenter.operations.integrity.differences import Difference, audience_differences, census_differences
from tests.defaults import NAMES

LOW = Tally(2, (2, 2, 1, 0), (5, 0, 7, 0), (13, 0, 49, 0))


def test_each_number_of_a_census_is_compared() -> None:
    """Also of a segment that only one side knows; nothing is said of what is equal."""
    right = {"low": Tally(2, (2, 2, 1, 0), (6, 0, 7, 0), (13, 0, 49, 1))}
    assert [str(each) for each in census_differences(3, {"low": LOW}, right, NAMES)] == [
        "shard 3: census low sum total_clicks is 5, should be 6",
        "shard 3: census low squares mean_view_ms is 0, should be 1",
    ]
    assert census_differences(3, {"low": LOW}, {"low": LOW}, NAMES) == []
    assert [each.field for each in census_differences(3, {}, {"low": LOW}, NAMES)] == [
        each.field for each in census_differences(3, {"low": LOW}, {}, NAMES)
    ]
    assert {(each.stored, each.expected) for each in census_differences(3, {}, {"low": LOW}, NAMES)} >= {
        (0, 2),
        (0, 49),
    }


def test_before_the_first_generation_a_census_is_compared_by_its_users() -> None:
    two, three = ({"unassigned": Tally(users, (), (), ())} for users in (2, 3))
    assert [str(each) for each in census_differences(0, two, three, ())] == [
        "shard 0: census unassigned users is 2, should be 3"
    ]
    assert census_differences(0, two, two, ()) == []


def test_audiences_are_compared_with_the_segments_of_the_rows() -> None:
    """Too many, too few, in the wrong one, and of a segment without an audience."""
    stored = {"low": {b"a", b"b"}, "old": {b"c"}}
    right = {b"a": "low", b"b": "high", b"c": "low"}
    assert [(each.name, each.field, each.expected) for each in audience_differences(0, stored, right)] == [
        ("low", "b", "not in it"),
        ("old", "c", "not in it"),
        ("high", "b", "in it"),
        ("low", "c", "in it"),
    ]


def test_what_users_are_called_is_escaped() -> None:
    assert (
        str(Difference(0, "audience", "low", "a\nb\x1b[31m", "in it", "not in it"))
        == r"shard 0: audience low 'a\nb\x1b[31m' is in it, should be not in it"
    )
    assert (
        str(Difference(0, "row", "bob ", "", "not whole", None))
        == "shard 0: row 'bob ' is not whole, should be unknown"
    )
