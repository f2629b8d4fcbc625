"""What may differ between a shard's rows and what is kept beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from segmenter.events import shown, text_of
from segmenter.model.census import Census, Tally
from segmenter.model.features import FEATURES

NOBODY = Tally(0, *((0,) * len(FEATURES) for _ in range(3)))
NUMBERS = ("users", *(f"{sum_} {feature.name}" for sum_ in ("present", "sum", "squares") for feature in FEATURES))
"""What is in a tally, in its order."""


class Difference(NamedTuple):
    """One thing that is not as the rows of its shard say."""

    shard: int
    where: str
    """``shard``, ``census``, ``audience``, ``row`` or ``counts``."""
    name: str
    """The segment, or the user whose row it is."""
    field: str
    """The number in a census, the user in an audience, the field of a row or of the counts."""
    stored: str | int | None
    right: str | int | None
    """None: it should not be there; or, in a row that cannot be read, nobody knows."""

    def __str__(self) -> str:
        name = self.name and shown(self.name.encode())
        field = shown(self.field.encode()) if self.where == "audience" else self.field
        place = " ".join(filter(None, (f"shard {self.shard}:", self.where, name, field)))
        return f"{place} is {_said(self.stored)}, should be {_said(self.right)}"


def census_differences(shard: int, stored: Census, right: Census) -> list[Difference]:
    """Each number of a census that is not what the rows add up to."""
    found = []
    for slug in sorted(stored.keys() | right.keys()):
        pairs = zip(NUMBERS, _numbers(stored.get(slug, NOBODY)), _numbers(right.get(slug, NOBODY)), strict=True)
        found += [Difference(shard, "census", slug, name, left, right) for name, left, right in pairs if left != right]
    return found


def audience_differences(shard: int, stored: Mapping[str, set[bytes]], right: Mapping[bytes, str]) -> list[Difference]:
    """Each user who is in an audience of another segment than their row's, or not in the one of theirs."""
    found = []
    for slug, members in sorted(stored.items()):
        found += _all(shard, slug, (user for user in members if right.get(user) != slug), "in it", "not in it")
    for slug in sorted(set(right.values())):
        absent = (user for user, own in right.items() if own == slug and user not in stored.get(slug, ()))
        found += _all(shard, slug, absent, "not in it", "in it")
    return found


def _all(shard: int, slug: str, users: Iterable[bytes], stored: str, right: str) -> list[Difference]:
    return [Difference(shard, "audience", slug, text_of(user), stored, right) for user in sorted(users)]


def _numbers(tally: Tally) -> tuple[int, ...]:
    return (tally.users, *tally.present, *tally.sums, *tally.squares)


def _said(value: str | int | None) -> str:
    return "unknown" if value is None else f"{value:,}" if isinstance(value, int) else value or "empty"
