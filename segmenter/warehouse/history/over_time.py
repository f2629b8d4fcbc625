"""What has become of the segments over time: their sizes, and the moves between them."""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import NamedTuple

from sqlalchemy import text

from segmenter.warehouse.engine import SUMMARY_SECONDS, Warehouse, reading


class SegmentSize(NamedTuple):
    """How many users a segment had in a snapshot, which may have been removed since."""

    snapshot_id: int
    taken_ms: int
    segment: str
    name: str
    users: int


class SegmentMoves(NamedTuple):
    """How many times users went from one segment into another, for one cause."""

    from_segment: str
    to_segment: str
    cause: str
    moves: int


class Period(NamedTuple):
    """From when to when moves are known, by Redis' clock; ``whole`` if those of all this time are."""

    first_ms: int
    last_ms: int
    whole: bool


def read_sizes(warehouse: Warehouse) -> list[SegmentSize]:
    """The sizes of all segments in all snapshots, the oldest first."""
    query = f"SELECT {', '.join(SegmentSize._fields)} FROM segment_sizes ORDER BY snapshot_id, segment"
    with reading(warehouse) as connection:
        return [SegmentSize(*row) for row in connection.execute(text(query))]


def read_moves(warehouse: Warehouse, period: Period | None) -> list[SegmentMoves]:
    """All moves in this time; those of users who came or went are none."""
    if period is None:
        return []
    query = """
        SELECT from_segment, to_segment, cause, COUNT(*) FROM segment_changes
        WHERE at_ms >= :first_ms AND at_ms <= :last_ms AND from_segment <> '' AND to_segment <> ''
        GROUP BY from_segment, to_segment, cause ORDER BY from_segment, to_segment, cause
    """
    between = {"first_ms": period.first_ms, "last_ms": period.last_ms}
    with reading(warehouse, SUMMARY_SECONDS) as connection:
        return [SegmentMoves(*row) for row in connection.execute(text(query), between)]


def read_period(warehouse: Warehouse) -> Period | None:
    """The time in which the change feeds of all shards that have one were read; None if there is no such time."""
    spans = text("SELECT part, first_ms, last_ms FROM change_spans ORDER BY part, first_ms")
    with reading(warehouse) as connection:
        found = [tuple(row) for row in connection.execute(spans)]
    by_part = [list(rows) for _, rows in groupby(found, key=lambda row: row[0])]
    if not by_part:
        return None
    first_ms, last_ms = max(rows[0][1] for rows in by_part), min(rows[-1][2] for rows in by_part)
    gaps = [(before[2], after[1]) for rows in by_part for before, after in pairwise(rows)]
    whole = not any(begin < end and begin < last_ms and end > first_ms for begin, end in gaps)
    return Period(first_ms, last_ms, whole) if first_ms <= last_ms else None
