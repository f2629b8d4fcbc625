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


def read_moves(warehouse: Warehouse) -> list[SegmentMoves]:
    """All moves that are known; those of users who came or went are none."""
    query = """
        SELECT from_segment, to_segment, cause, COUNT(*) FROM segment_moves
        GROUP BY from_segment, to_segment, cause ORDER BY from_segment, to_segment, cause
    """
    with reading(warehouse, SUMMARY_SECONDS) as connection:
        return [SegmentMoves(*row) for row in connection.execute(text(query))]


def read_period(warehouse: Warehouse) -> Period | None:
    """The time that the known moves are of: for which the change feeds were read, else from the first to the last."""
    spans = text("SELECT part, first_ms, last_ms FROM change_spans ORDER BY part, first_ms")
    ends = text("SELECT MIN(at_ms), MAX(at_ms) FROM segment_changes")
    with reading(warehouse, SUMMARY_SECONDS) as connection:
        found = [tuple(row) for row in connection.execute(spans)]
        if not found:
            first, last = connection.execute(ends).one()
            return None if first is None else Period(first, last, whole=False)
    by_part = [list(rows) for _, rows in groupby(found, key=lambda row: row[0])]
    whole = all(after[1] <= before[2] for rows in by_part for before, after in pairwise(rows))
    return Period(min(row[1] for row in found), max(row[2] for row in found), whole)
