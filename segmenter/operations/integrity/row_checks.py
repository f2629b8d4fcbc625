"""The check of rows: what they add up to, and which of them do not follow from their own profiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from segmenter.events import text_of
from segmenter.kinds import Kind
from segmenter.model import kmeans, vectors
from segmenter.model.census import Census, moved
from segmenter.model.folding import vectors_of
from segmenter.model.generation import UNASSIGNED, Generation
from segmenter.model.profiles import fields
from segmenter.operations.integrity.differences import Difference
from segmenter.shards.commits import counted
from segmenter.shards.row import Basis, Row
from segmenter.shards.state import ShardState
from segmenter.store.rows import StoredRow

Generations = Mapping[int, Generation]
"""The stored generations, by number."""


@dataclass
class RowCheck:
    """The rows of one shard together. Incomplete rows are in no sum."""

    census: Census = field(default_factory=dict)
    segments: dict[bytes, str] = field(default_factory=dict)
    """The slug in each row."""
    events: int = 0
    ahead: bool = False
    """A row holds events beyond the shard's offsets, as after a restore: the shard has not counted them yet."""
    wrong: dict[bytes, Basis | None] = field(default_factory=dict)
    """The users with a wrong row, and its basis, None if that cannot be read."""
    wrong_rows: dict[bytes, Row | None] = field(default_factory=dict)
    """The same rows as they are, None for an incomplete one."""
    differences: list[Difference] = field(default_factory=list)


def add(
    check: RowCheck,
    shard: int,
    found: Mapping[bytes, StoredRow],
    state: ShardState,
    kinds: tuple[Kind, ...],
    generations: Generations,
    current: int,
) -> None:
    """Check some more rows of a shard. ``current`` is the number of the current generation, 0 before the first."""
    rows = []
    for user, (row, basis) in found.items():
        if row is not None and row.fits(state.space):
            rows.append(row)
            continue
        check.wrong[user], check.wrong_rows[user] = basis, None
        check.differences.append(Difference(shard, "row", text_of(user), "", "incomplete", None))
    if not rows:
        return
    profiles = np.array([row.profile for row in rows], dtype=np.int64)
    check.census = moved(check.census, counted([], state.space), [], counted(rows, state.space), _slugs(rows))
    check.segments |= {row.user: row.segment for row in rows}
    events = [fields(kinds).index(kind.plural) for kind in kinds]
    check.events += int(profiles[:, events].sum())
    offsets = state.offsets or {}
    check.ahead |= any(last >= offsets.get(topic, 0) for row in rows for topic, last in row.offsets.items())
    expected = vectors_of(profiles, state.space.features, kinds)
    judged = _judged(rows, profiles, kinds, generations)
    for row, vector, slug in zip(rows, map(tuple, expected.tolist()), judged, strict=True):
        differing = _differing(row, vector if row.is_in(state.space) else row.vector, slug, state.generation, current)
        if differing:
            check.wrong[row.user], check.wrong_rows[row.user] = Basis(row.profile, row.offsets), row
            check.differences += [Difference(shard, "row", text_of(row.user), *each) for each in differing]


def _slugs(rows: Sequence[Row]) -> list[str]:
    return [row.segment for row in rows]


def _judged(rows: Sequence[Row], profiles: np.ndarray, kinds: tuple[Kind, ...], generations: Generations) -> list[str]:
    """The slug that the row's generation gives to the profile; the row's own if that generation is gone."""
    slugs = _slugs(rows)
    for number in {row.generation for row in rows} & {0, *generations}:
        at = [index for index, row in enumerate(rows) if row.generation == number]
        judged = [UNASSIGNED] * len(at)
        if number:
            by = generations[number]
            judged = kmeans.judge(vectors_of(profiles[at], by.features, kinds), by)
        for index, slug in zip(at, judged, strict=True):
            slugs[index] = slug
    return slugs


def _differing(
    row: Row, vector: tuple[int, ...], slug: str, swept: int, current: int
) -> list[tuple[str, str | int, str | int]]:
    """Name, stored and expected value of each field that is not what profile and generations give."""
    found: list[tuple[str, str | int, str | int]] = []
    if row.vector != vector:
        found.append(("vector", vectors.encode(row.vector), vectors.encode(vector)))
    if row.segment != slug:
        found.append(("segment", row.segment, slug))
    if not swept <= row.generation <= current:
        found.append(("generation", row.generation, current))
    return found
