"""Whom a profile is of, and whom they are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pandas as pd


class Sides(NamedTuple):
    """A label against another one or, without that, against all others."""

    label: str
    against: str | None

    def inside(self, labels: pd.Series) -> pd.Series:
        """Which of the rows with these labels are of the segment."""
        return labels == self.label

    def outside(self, labels: pd.Series) -> pd.Series:
        """Which are of those that it is compared with."""
        return labels != self.label if self.against is None else labels == self.against

    def base(self, labels: pd.Series) -> pd.Series:
        """Which are of those whose share a lift divides by: everybody, or the other segment."""
        return labels == labels if self.against is None else labels == self.against


class Source(NamedTuple):
    """What SQL has counted of the users of a snapshot, by label; `segmenter.warehouse.profiles` says what is in it."""

    users: pd.DataFrame
    quarters: pd.DataFrame
    values: dict[str, pd.DataFrame]
    """By what they are: devices, pages, and so on."""
    amounts: dict[str, pd.DataFrame]
    """By the names of the kinds that measure an amount."""
    attributes: list[AttributeCounts]


class AttributeCounts(NamedTuple):
    """An attribute: its type, how many users have it, and its values."""

    name: str
    type: str
    known: pd.DataFrame
    values: pd.DataFrame
