"""The users who are not the same in a snapshot and in the batch.

The batch of most users is the batch summary, which has been refreshed up to the snapshot's cuts. A user whose row goes
further, since the shard went on while the snapshot was taken, is given what the summary lacks. A user of whom the
summary goes further is summed up from the first event on. With ``full``, everybody is, by ``summary.sql``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import Connection, text

from segmenter.errors import Fenced
from segmenter.kinds import Kind, catalogue
from segmenter.model.profiles import Profile, fields
from segmenter.warehouse.behind import Reach
from segmenter.warehouse.engine import Warehouse, insert, listed
from segmenter.warehouse.raw_events import Partition
from segmenter.warehouse.summary.refresh import Summed, at_odds, counted, read_summed, require_whole
from segmenter.warehouse.summary.statement import BatchCounts, insert_all, read_batch_counts
from segmenter.warehouse.summary.work_tables import fitting, rendered, run, working
from segmenter.warehouse.users_of import base_of, users_of

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


class Compared(NamedTuple):
    """What the batch says of a snapshot: the users who may differ, and what became of each shard's events."""

    unequal: list[Unequal]
    counts: dict[int, BatchCounts]
    full: bool
    """Whether all raw events were summed up anew."""
    summary_wrong: bool
    """Whether the summary turned out not to be what the raw events add up to; then these were summed up."""


def compare_snapshot(
    warehouse: Warehouse, snapshot_id: int, reach: Reach, duplicate_window: int, full: bool
) -> Compared:
    """Those who differ or whom only one side knows, and a few whose ratios are too large for SQL to divide exactly.

    Unless ``full``, the summary must have been refreshed up to the cuts. If raw events that it holds are no longer
    there, all are summed up anew; whoever differs from it is in any case. Raises `Fenced` if somebody empties it.
    """
    kinds = warehouse.kinds
    alone = not full and warehouse.engine.dialect.name != "sqlite"  # there, a reader sees one moment by itself
    with working(warehouse, writes=alone) as connection:
        at = read_summed(connection)
        if not full:
            _require_refreshed(connection, at, reach)
        if full or at_odds(connection, at):
            insert_all(connection, kinds, snapshot_id, duplicate_window)
            counts = read_batch_counts(connection, kinds, snapshot_id, duplicate_window)
            return Compared(_unequal(connection, kinds, snapshot_id, "recomputed", moved=False), counts, True, not full)
        moved, counts = False, {}
        shards = {part: _places(part, at, reach) for part in sorted({part for _, part in reach.cuts})}
        for part, places in shards.items():
            counts[part] = _counts(connection, kinds, part, places, at, duplicate_window)
            moved |= _move(connection, kinds, part, places, snapshot_id, duplicate_window)
        found = _unequal(connection, kinds, snapshot_id, "user_summary", moved)
        if not found:
            return Compared([], counts, full=False, summary_wrong=False)
        _sum_up(connection, kinds, shards, found, snapshot_id, duplicate_window)
        confirmed = _unequal(connection, kinds, snapshot_id, "user_summary", moved=True)
        said = {each.user: each.batch for each in confirmed}
        wrong = any(each.user not in said or said[each.user] != each.batch for each in found)
        return Compared(confirmed, counts, full=False, summary_wrong=wrong)


def _require_refreshed(connection: Connection, at: Mapping[Partition, Summed], reach: Reach) -> None:
    require_whole(connection)
    if any(at[where].next_pos < cut if where in at else cut for where, cut in reach.cuts.items()):
        raise Fenced("the batch summary was emptied meanwhile: try again.")


def _sum_up(
    connection: Connection,
    kinds: tuple[Kind, ...],
    shards: Mapping[int, Mapping[str, _Place]],
    found: list[Unequal],
    snapshot_id: int,
    duplicate_window: int,
) -> None:
    """Put users into ``moved``, summed up from their first events on: that the summary says so is no evidence."""
    totals = {each.user: _Total(0, [0] * len(fields(kinds))) for each in found}
    connection.execute(text("DELETE FROM beyond"))
    insert(connection, "beyond", ("user_id", "back"), [(user, 1) for user in totals])
    for part, places in shards.items():
        _fold(connection, kinds, part, places, snapshot_id, duplicate_window, back=1)
        for user, *values in connection.execute(text(f"SELECT user_id, {listed(fields(kinds))} FROM added")):
            totals[bytes(user)] = _plus(totals[bytes(user)], values)
    connection.execute(text("DELETE FROM moved WHERE user_id IN (SELECT user_id FROM beyond)"))
    rows = [(user, total.known, *total.profile) for user, total in totals.items()]
    with fitting():
        insert(connection, "moved", ("user_id", "known", *fields(kinds)), rows)


class _Total(NamedTuple):
    """What is known of a user in some shards."""

    known: int
    profile: list[int]


def _plus(total: _Total, values: list[int]) -> _Total:
    if not total.known:
        return _Total(1, values)
    first, last = min(total.profile[-2], values[-2]), max(total.profile[-1], values[-1])
    return _Total(1, [*map(sum, zip(total.profile[:-2], values[:-2], strict=True)), first, last])


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
    base = base_of(connection, snapshot_id)
    run("beyond.sql", connection, kinds, part=part, places=apart, snapshot_id=snapshot_id, base_id=base)
    query = text("SELECT back, COUNT(*) FROM beyond GROUP BY back")
    found = dict(map(tuple, connection.execute(query)))
    for back in sorted(found):
        _fold(connection, kinds, part, places, snapshot_id, duplicate_window, back)
        run("moved.sql", connection, kinds, back=back)
    return bool(found)


def _fold(
    connection: Connection,
    kinds: tuple[Kind, ...],
    part: int,
    places: Mapping[str, _Place],
    snapshot_id: int,
    duplicate_window: int,
    back: int,
) -> None:
    """Fold the events of users in ``beyond`` from where the summary stands or, with ``back``, from the first one on."""
    ranges = {topic: (0 if back else place.at, place.furthest) for topic, place in places.items()}
    names = {"part": part, "ranges": ranges, "back": back}
    run("repeats.sql", connection, kinds, **names, duplicate_window=duplicate_window)
    cuts = {topic: place.cut for topic, place in places.items()}
    snapshot = {"snapshot_id": snapshot_id, "base_id": base_of(connection, snapshot_id)}
    run("fold.sql", connection, kinds, **names, **snapshot, cuts=cuts)


def _unequal(
    connection: Connection, kinds: tuple[Kind, ...], snapshot_id: int, base: str, moved: bool
) -> list[Unequal]:
    users = users_of(connection, kinds, snapshot_id)
    names = {"snapshot_id": snapshot_id, "users": users, "base": base, "moved": moved, "exact": _EXACT}
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
