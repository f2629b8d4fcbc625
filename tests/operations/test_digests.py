"""Digests: the same for the same rows in any order, another for any other number, and makeable without our code."""

from __future__ import annotations

import hashlib

import pytest

from segmenter.model import census
from segmenter.operations.integrity.digests import Judged, digests

ONE = Judged((3, 1, 250, 0, 0, 0, 0, 10, 20), "low", 1, (5, 0, 7, -1))
TWO = Judged((1, 0, 0, 0, 0, 0, 0, 15, 15), "high", 1, (2, 0, -1, -1))
LOW = census.Tally(1, (1, 1, 1, 0), (5, 0, 7, 0), (25, 0, 49, 0))
ROWS = {b"Bob": ONE, b"a b\0": TWO}
MEMBERS = [(b"a b\0", "high"), (b"Bob", "low")]


def test_each_is_what_sha256_says_of_plain_text() -> None:
    found = digests(ROWS.items(), [{"low": LOW}], MEMBERS)
    aggregates = "426f62 3 1 250 0 0 0 0 10 20\n61206200 1 0 0 0 0 0 0 15 15\n"
    rows = "426f62 3 1 250 0 0 0 0 10 20 low 1 5,0,7,\n61206200 1 0 0 0 0 0 0 15 15 high 1 2,0,,\n"
    of_census = '{"low":[1,[1,1,1,0],[5,0,7,0],[25,0,49,0]]}'
    members = "426f62 low\n61206200 high\n"
    texts = (aggregates, rows, of_census, members)
    assert found == (2, *(hashlib.sha256(text.encode()).hexdigest() for text in texts))


def test_order_and_the_split_into_shards_do_not_matter() -> None:
    turned = dict(reversed(ROWS.items()))
    both = digests(ROWS.items(), [{"low": LOW + LOW}], MEMBERS)
    apart = [{"low": LOW}, {"low": LOW}, {"high": LOW}, {"high": -LOW}]
    assert digests(turned.items(), apart, reversed(MEMBERS)) == both


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (ONE._replace(profile=(4, *ONE.profile[1:])), set()),
        (ONE._replace(segment="high"), {"aggregates"}),
        (ONE._replace(generation=2), {"aggregates"}),
        (ONE._replace(vector=(5, 0, 7, 0)), {"aggregates"}),
    ],
)
def test_any_other_number_gives_another_digest(other: Judged, same: set[str]) -> None:
    left, right = (digests(rows.items(), [], [])._asdict() for rows in (ROWS, ROWS | {b"Bob": other}))
    assert {name for name in left if left[name] == right[name]} == same | {"users", "census", "audiences"}


@pytest.mark.parametrize(
    "members",
    [
        [(b"a b\0", "high"), (b"Bob", "high")],
        [*MEMBERS, (b"Bob", "high")],
        [*MEMBERS, (b"Bob", "low")],
        MEMBERS[:1],
        [],
    ],
    ids=["in another", "in two", "in one twice", "in none", "nobody in any"],
)
def test_any_other_audience_gives_another_digest(members: list[tuple[bytes, str]]) -> None:
    left, right = (digests(ROWS.items(), [], each)._asdict() for each in (MEMBERS, members))
    assert {name for name in left if left[name] != right[name]} == {"audiences"}
