"""Differences between what a shard stores and what its rows say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from segmenter.events import shown, text_of
from segmenter.model.census import Census, Tally


class Difference(NamedTuple):
    """One stored value that is not what the rows say."""

    shard: int
    where: str
    """``shard``, ``census``, ``audience``, ``row``, ``counts``, or ``key`` for a key of another type."""
    name: str
    """The slug of the segment, the user of the row, or the key."""
    field: str
    """The number of the census, the user of the audience, or the field of the shard, the row or the counts."""
    stored: str | int | None
    expected: str | int | None
    """None: it should not be there, or is unknown, since the row cannot be read."""

    def __str__(self) -> str:
        name = self.name and shown(self.name.encode())
        field = shown(self.field.encode()) if self.where == "audience" else self.field
        place = " ".join(filter(None, (f"shard {self.shard}:", self.where, name, field)))
        return f"{place} is {_said(self.stored)}, should be {_said(self.expected)}"


def census_differences(shard: int, stored: Census, expected: Census, features: tuple[str, ...]) -> list[Difference]:
    """Each number of a census that is not the sum over the rows; ``features`` are their names."""
    names = ("users", *[f"{sum_} {feature}" for sum_ in ("present", "sum", "squares") for feature in features])
    nobody = Tally(0, *((0,) * len(features) for _ in range(3)))
    found = []
    for slug in sorted(stored.keys() | expected.keys()):
        pairs = zip(names, _numbers(stored.get(slug, nobody)), _numbers(expected.get(slug, nobody)), strict=True)
        found += [
            Difference(shard, "census", slug, name, left, expected)
            for name, left, expected in pairs
            if left != expected
        ]
    return found


def audience_differences(
    shard: int, stored: Mapping[str, set[bytes]], expected: Mapping[bytes, str]
) -> list[Difference]:
    """Each user who is in the audience of another segment than their row says, or not in the audience of their own."""
    found = []
    for slug, members in sorted(stored.items()):
        found += _all(shard, slug, (user for user in members if expected.get(user) != slug), "in it", "not in it")
    for slug in sorted(set(expected.values())):
        absent = (user for user, own in expected.items() if own == slug and user not in stored.get(slug, ()))
        found += _all(shard, slug, absent, "not in it", "in it")
    return found


def _all(shard: int, slug: str, users: Iterable[bytes], stored: str, expected: str) -> list[Difference]:
    return [Difference(shard, "audience", slug, text_of(user), stored, expected) for user in sorted(users)]


def _numbers(tally: Tally) -> tuple[int, ...]:
    return (tally.users, *tally.present, *tally.sums, *tally.squares)


def _said(value: str | int | None) -> str:
    return "unknown" if value is None else f"{value:,}" if isinstance(value, int) else value or "empty"
