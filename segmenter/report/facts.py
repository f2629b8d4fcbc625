"""All that the report tells, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from segmenter.analysis.profiles.profile import Profile
from segmenter.kinds import Feature, Kind
from segmenter.model.generation import Generation, name_of
from segmenter.warehouse import Period, SegmentMoves, SegmentSize, Snapshot, Verdict

if TYPE_CHECKING:
    import pandas as pd


class Rated(NamedTuple):
    """How good the clusters of an algorithm are; None for a score that does not exist."""

    name: str
    k: int
    noise: float
    """The share of users who are in none."""
    silhouette: float | None
    davies_bouldin: float | None
    calinski_harabasz: float | None
    rand_live: float | None
    """The adjusted Rand index with the live segments."""


class Facts(NamedTuple):
    """A snapshot, and what the warehouse knows of its segments. Texts are as others wrote them."""

    snapshot: Snapshot
    made_ms: int
    """When the report was made."""
    names: dict[str, str]
    """The name of each segment by its slug, least engaged first."""
    users: pd.DataFrame
    """One row per user: ``segment`` (slug), and each of the features (NaN: missing)."""
    judging: tuple[Feature, ...]
    """The features that users are judged by."""
    others: tuple[Feature, ...]
    kinds: tuple[Kind, ...]
    currency: str
    timezone: str
    profiles: dict[str, Profile]
    """By slug, in the order of ``names``."""
    events_missing: int = 0
    """How many events of the snapshot the sink has yet to load."""
    verdict: Verdict | None = None
    sizes: Sequence[SegmentSize] = ()
    moves: Sequence[SegmentMoves] = ()
    period: Period | None = None
    rated: Sequence[Rated] = ()
    """The live segments, as `LIVE`, if they could be rated, and the last run of each algorithm."""
    rated_snapshot: int | None = None

    @property
    def counts(self) -> dict[str, int]:
        """How many users each segment has."""
        return {slug: profile.users for slug, profile in self.profiles.items()}

    def moment(self, at_ms: int) -> str:
        """A time by the clocks of the time zone."""
        return f"{self.local(at_ms):%Y-%m-%d %H:%M}"

    def local(self, at_ms: int) -> datetime:
        """A time in the time zone."""
        return datetime.fromtimestamp(at_ms / 1_000, ZoneInfo(self.timezone))


LIVE = "live segments"


def names_in_order(generation: Generation | None, present: Sequence[str]) -> dict[str, str]:
    """The names of a model's segments by slug, as it orders them; before them those that only ``present`` has.

    >>> names_in_order(None, ["unassigned"])
    {'unassigned': 'Unassigned'}
    """
    known = {} if generation is None else {segment.slug: segment.name for segment in generation.segments}
    return {slug: name_of(slug) for slug in sorted(set(present) - known.keys())} | known
