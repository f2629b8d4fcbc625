"""The users who are not the same in a snapshot and in the batch.

The batch of most users is the batch summary, which has been refreshed up to the snapshot's cuts. A user whose row goes
further, since the shard went on while the snapshot was taken, is given what the summary lacks. A user of whom the
summary goes further is summed up from the first event on. With ``full``, everybody is, by ``summary.sql``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import Connection, text

from segmenter.kinds import Kind, catalogue
from segmenter.model.profiles import Profile, fields
from segmenter.warehouse.behind import Reach
from segmenter.warehouse.engine import Warehouse
from segmenter.warehouse.raw_events import Partition
from segmenter.warehouse.summary.refresh import Summed, at_odds, counted, read_summed, require_whole
from segmenter.warehouse.summary.statement import BatchCounts, insert_all, read_batch_counts
from segmenter.warehouse.summary.work_tables import rendered, run, working

_EXACT = 2**53
"""A double holds every integer up to this, so that SQL and Python divide alike."""

Numbers = tuple[int | float | None, ...]


class Unequal(NamedTuple):
    """The numbers of one user on both sides, None where the user is not known.

    ``stream`` is in the order of ``value_columns``, ``batch`` in that of ``profiles.fields``.
    """

    user: bytes
    stream: Numbers | None
    batch: Profile | None


class Batch(NamedTuple):
    """What the batch says of a snapshot: the users who may differ, and what became of each shard's events."""

    unequal: list[Unequal]
    counts: dict[int, BatchCounts]
    full: bool
    """Whether all raw events were summed up anew."""


def compare_snapshot(warehouse: Warehouse, snapshot_id: int, reach: Reach, duplicate_window: int, full: bool) -> Batch:
    """Those who differ or whom only one side knows, and a few whose ratios are too large for SQL to divide exactly.

    Unless ``full``, the summary must have been refreshed up to the cuts. If raw events that it holds are no longer
    there, all are summed up anew. Raises `Fenced` while somebody empties it.
    """
    kinds = warehouse.kinds
    with working(warehouse, writes=not full) as connection:
        if not full:
            require_whole(connection)
        at = read_summed(connection)
        if full or at_odds(connection, at):
            insert_all(connection, kinds, snapshot_id, duplicate_window)
            counts = read_batch_counts(connection, kinds, snapshot_id, duplicate_window)
            return Batch(_unequal(connection, kinds, snapshot_id, "recomputed", moved=False), counts, full=True)
        moved, counts = False, {}
        for part in sorted({part for _, part in reach.cuts}):
            places = _places(part, at, reach)
            counts[part] = _counts(connection, kinds, part, places, at, duplicate_window)
            moved |= _move(connection, kinds, part, places, snapshot_id, duplicate_window)
        return Batch(_unequal(connection, kinds, snapshot_id, "user_summary", moved), counts, full=False)


class _Place(NamedTuple):
    """Of a topic in a shard: the snapshot's cut, where the summary stands, and the furthest of that and all rows."""

    cut: int
    at: int
    furthest: int


def _places(part: int, at: Mapping[Partition, Summed], reach: Reach) -> dict[str, _Place]:
    places = {}
    for (topic, of), cut in reach.cuts.items():
        if of == part:
            stands = at[topic, part].next_pos if (topic, part) in at else 0
            places[topic] = _Place(cut, stands, max(stands, reach.furthest.get((topic, part), 0)))
    return places


def _counts(
    connection: Connection,
    kinds: tuple[Kind, ...],
    part: int,
    places: Mapping[str, _Place],
    at: Mapping[Partition, Summed],
    duplicate_window: int,
) -> BatchCounts:
    """What the summary has counted of a shard, without what it has counted beyond the cuts."""
    found = [at[topic, part] for topic in places if (topic, part) in at]
    beyond = {topic: (place.cut, place.at) for topic, place in places.items() if place.cut < place.at}
    more: dict[str, Summed] = {}
    if beyond:
        names = {"part": part, "ranges": beyond, "back": False, "duplicate_window": duplicate_window}
        run("repeats.sql", connection, kinds, **names)
        more = counted(connection, part, beyond)
    return BatchCounts(
        sum(each.folded for each in found) - sum(each.folded for each in more.values()),
        sum(each.duplicates for each in found) - sum(each.duplicates for each in more.values()),
    )


def _move(
    connection: Connection,
    kinds: tuple[Kind, ...],
    part: int,
    places: Mapping[str, _Place],
    snapshot_id: int,
    duplicate_window: int,
) -> bool:
    """Put those users of a shard into ``moved`` of whom the summary does not stand where their rows do, if any."""
    apart = {topic: place for topic, place in places.items() if place.cut < place.furthest}
    if not apart:
        return False
    run("beyond.sql", connection, kinds, part=part, places=apart, snapshot_id=snapshot_id)
    query = text("SELECT back, COUNT(*) FROM beyond GROUP BY back")
    found = dict(map(tuple, connection.execute(query)))
    for back in sorted(found):
        ranges = {topic: (0 if back else place.at, place.furthest) for topic, place in places.items()}
        names = {"part": part, "ranges": ranges, "back": back}
        run("repeats.sql", connection, kinds, **names, duplicate_window=duplicate_window)
        cuts = {topic: place.cut for topic, place in places.items()}
        run("fold.sql", connection, kinds, **names, snapshot_id=snapshot_id, cuts=cuts)
        run("moved.sql", connection, kinds, back=back)
    return bool(found)


def _unequal(
    connection: Connection, kinds: tuple[Kind, ...], snapshot_id: int, base: str, moved: bool
) -> list[Unequal]:
    names = {"snapshot_id": snapshot_id, "base": base, "moved": moved, "exact": _EXACT}
    profile = len(fields(kinds))
    stream = profile + len(catalogue(kinds))
    found = []
    for statement in rendered("unequal.sql", connection, kinds, **names):
        for user, in_stream, *values in connection.execute(text(statement)):
            in_batch = values[stream]
            found.append(
                Unequal(
                    bytes(user),
                    tuple(values[:stream]) if in_stream else None,
                    tuple(map(int, values[stream + 1 :])) if in_batch else None,
                )
            )
    return found
