"""What the rows of a shard amount to, and which of them are not what their own profile gives. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from segmenter.events import text_of
from segmenter.model import folding, kmeans, vectors
from segmenter.model.census import Census, moved
from segmenter.model.generation import UNASSIGNED, Generation
from segmenter.model.profiles import FIELDS
from segmenter.operations.integrity.differences import Difference
from segmenter.shards.row import Row
from segmenter.shards.state import ShardState
from segmenter.store.rows import Essence, Found

EVENTS = tuple(FIELDS.index(name) for name in ("clicks", "searches", "views"))
"""Where a profile says how many events it holds."""

Generations = Mapping[int, Generation]
"""Those that are still kept, by number."""


@dataclass
class Counted:
    """The rows of one shard together. Those that are not whole are in no sum."""

    census: Census = field(default_factory=dict)
    segments: dict[bytes, str] = field(default_factory=dict)
    """The segment that each row names."""
    events: int = 0
    ahead: bool = False
    """A row has events beyond the shard's offsets, as after a restore: the shard has yet to count them."""
    wrong: dict[bytes, Essence | None] = field(default_factory=dict)
    """Users whose rows do not fit themselves, and what of it is sure."""
    wrong_rows: dict[bytes, Row | None] = field(default_factory=dict)
    """The rows of those as they are, None for one that is not whole."""
    differences: list[Difference] = field(default_factory=list)


def add(
    counted: Counted,
    shard: int,
    found: Mapping[bytes, Found],
    state: ShardState,
    generations: Generations,
    current: int,
) -> None:
    """Count some more rows of a shard. ``current`` is the number of the generation in force, 0 before the first."""
    for user, (row, essence) in found.items():
        if row is None:
            counted.wrong[user], counted.wrong_rows[user] = essence, None
            counted.differences.append(Difference(shard, "row", text_of(user), "", "not whole", None))
    rows = [row for row, _ in found.values() if row is not None]
    if not rows:
        return
    stored = np.array([row.vector for row in rows], dtype=np.int64)
    profiles = np.array([row.profile for row in rows], dtype=np.int64)
    counted.census = moved(counted.census, stored[:0], [], stored, [row.segment for row in rows])
    counted.segments |= {row.user: row.segment for row in rows}
    counted.events += int(profiles[:, EVENTS].sum())
    offsets = state.offsets or {}
    counted.ahead |= any(last >= offsets.get(topic, 0) for row in rows for topic, last in row.offsets.items())
    right = vectors.vectors(folding.columns(profiles))
    slugs = _judged(rows, right, generations)
    for row, vector, slug in zip(rows, map(tuple, right.tolist()), slugs, strict=True):
        differing = _differing(row, vector, slug, state.generation, current)
        if differing:
            counted.wrong[row.user], counted.wrong_rows[row.user] = Essence(row.profile, row.offsets), row
            counted.differences += [Difference(shard, "row", text_of(row.user), *each) for each in differing]


def _judged(rows: Sequence[Row], right: np.ndarray, generations: Generations) -> list[str]:
    """The segment that each row's generation gives to the right vector; the row's own if it is no longer kept."""
    slugs = [row.segment for row in rows]
    for number in {row.generation for row in rows} & {0, *generations}:
        at = [index for index, row in enumerate(rows) if row.generation == number]
        judged = kmeans.judge(right[at], generations[number]) if number else [UNASSIGNED] * len(at)
        for index, slug in zip(at, judged, strict=True):
            slugs[index] = slug
    return slugs


def _differing(
    row: Row, vector: tuple[int, ...], slug: str, swept: int, current: int
) -> list[tuple[str, str | int, str | int]]:
    """Field, what it is and what it should be, of each that the profile and the generations say otherwise."""
    found: list[tuple[str, str | int, str | int]] = []
    if row.vector != vector:
        found.append(("vector", vectors.encode(row.vector), vectors.encode(vector)))
    if row.segment != slug:
        found.append(("segment", row.segment, slug))
    if not swept <= row.generation <= current:
        found.append(("generation", row.generation, current))
    return found
