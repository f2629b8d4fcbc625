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


def test_each_is_what_sha256_says_of_plain_text() -> None:
    found = digests(ROWS.items(), [{"low": LOW}])
    aggregates = "426f62 3 1 250 0 0 0 0 10 20\n61206200 1 0 0 0 0 0 0 15 15\n"
    rows = "426f62 3 1 250 0 0 0 0 10 20 low 1 5,0,7,\n61206200 1 0 0 0 0 0 0 15 15 high 1 2,0,,\n"
    of_census = '{"low":[1,[1,1,1,0],[5,0,7,0],[25,0,49,0]]}'
    assert found == (2, *(hashlib.sha256(text.encode()).hexdigest() for text in (aggregates, rows, of_census)))


def test_order_and_the_split_into_shards_do_not_matter() -> None:
    turned = dict(reversed(ROWS.items()))
    both = digests(ROWS.items(), [{"low": LOW + LOW}])
    assert digests(turned.items(), [{"low": LOW}, {"low": LOW}, {"high": LOW}, {"high": -LOW}]) == both


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (ONE._replace(profile=(4, *ONE.profile[1:])), {"census"}),
        (ONE._replace(segment="high"), {"aggregates", "census"}),
        (ONE._replace(generation=2), {"aggregates", "census"}),
        (ONE._replace(vector=(5, 0, 7, 0)), {"aggregates", "census"}),
    ],
)
def test_any_other_number_gives_another_digest(other: Judged, same: set[str]) -> None:
    left, right = digests(ROWS.items(), [])._asdict(), digests((ROWS | {b"Bob": other}).items(), [])._asdict()
    assert {name for name in left if left[name] == right[name]} == same | {"users"}
