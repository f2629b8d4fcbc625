"""Stream minus batch, user by user and field by field."""

from __future__ import annotations

import pytest

from segmenter.events import shown
from segmenter.operations.comparison import Example, Reconciliation, compare
from segmenter.operations.integrity.differences import Difference

FIELDS = ("clicks", "mean_click_ms")


def test_equal_sides_have_nothing_to_show() -> None:
    rows = {b"a": (1, None), b"b": (2, 0.1)}
    result = compare(FIELDS, rows, dict(reversed(rows.items())))
    assert result.equal
    assert result == Reconciliation(2, 0, 0, 0, ())


def test_each_sort_of_difference_is_counted_and_shown() -> None:
    stream = {b"same": (1, 2.0), b"wrong": (1, 2.0), b"extra": (3, None)}
    batch = {b"same": (1, 2.0), b"wrong": (1, 2.5), b"missing": (4, 1.0)}
    result = compare(FIELDS, stream, batch)
    assert not result.equal
    assert result == Reconciliation(
        2,
        1,
        1,
        1,
        (
            Example(b"extra", "extra", {"clicks": (3, None)}),
            Example(b"missing", "missing", {"clicks": (None, 4), "mean_click_ms": (None, 1.0)}),
            Example(b"wrong", "differing", {"mean_click_ms": (2.0, 2.5)}),
        ),
    )


@pytest.mark.parametrize(("stream", "batch"), [({b"a": (0, None)}, {}), ({}, {b"a": (0, None)})])
def test_a_user_of_one_side_alone_is_never_equal(
    stream: dict[bytes, tuple[int, None]], batch: dict[bytes, tuple[int, None]]
) -> None:
    assert not compare(FIELDS, stream, batch).equal


def test_counts_that_differ_are_not_equal_either() -> None:
    counts = (Difference(0, "counts", "", "folded", 5, 10),)
    assert not Reconciliation(3, 0, 0, 0, (), counts).equal


def test_a_missing_number_is_not_zero() -> None:
    assert compare(FIELDS, {b"a": (0, None)}, {b"a": (0, 0)}).differing == 1


def test_the_first_users_are_shown_and_all_are_counted() -> None:
    stream = {b"%03d" % number: (number, None) for number in range(100)}
    batch = {user: (clicks + 1, None) for user, (clicks, _) in stream.items()}
    result = compare(FIELDS, stream, batch, examples=2)
    assert (result.differing, [example.user for example in result.examples]) == (100, [b"000", b"001"])


def test_user_ids_are_shown_so_that_none_looks_like_another() -> None:
    odd = ["Bob", "bob", "bób", "bob ", "007", "7", "17850.0", "1e5", "-0", "\N{GHOST}", "a\0b", "'bob '", "bo\u0301b"]
    lines = [shown(user.encode()) for user in odd]
    assert len(set(lines)) == len(odd)
    assert all(line.isascii() and line.isprintable() for line in lines)
    assert lines[:2] == ["Bob", "bob"]
