"""Keeping the batch summary up to date: only new raw events are read, and only their users are written.

All that it holds can be added to. Counts and sums add up, the first and the last time are a minimum and a maximum, and
what is distinct is remembered in ``user_seen``. Whether an event counts depends on the events before it alone, so what
has been added stays right. New events are taken up a shard at a time, in transactions of at most `ROWS_AT_A_TIME` of
them, each with the offsets up to which it goes: a refresh that ends half-way is continued by the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, text

from segmenter.errors import Fenced, SumTooLarge
from segmenter.events import shown
from segmenter.kinds import Kind
from segmenter.warehouse.engine import SUMMARY_SECONDS, Warehouse, insert, reading
from segmenter.warehouse.raw_events import Partition, read_loaded, require_known_kinds
from segmenter.warehouse.summary.work_tables import one_at_a_time, run, working

ROWS_AT_A_TIME = 200_000
USERS_AT_A_TIME = 20_000
_EMPTYING = ("summary_emptying", "the batch summary is being emptied, to be built anew")

Ranges = dict[str, tuple[int, int]]
"""For each topic, offsets of one shard: from the first to before the second."""


class Summed(NamedTuple):
    """How far the summary goes in a partition, and how many of the raw events before that count, or are duplicates."""

    next_pos: int
    folded: int
    duplicates: int


class Refreshed(NamedTuple):
    """How many raw events a refresh took up, how many of these are duplicates, and how many rows it wrote."""

    events: int
    duplicates: int
    user_rows: int


def read_summed(connection: Connection) -> dict[Partition, Summed]:
    """How far the summary goes; a partition of which it has nothing is absent."""
    found = connection.execute(text("SELECT topic, part, next_pos, folded, duplicates FROM summary_offsets"))
    return {(row.topic, row.part): Summed(row.next_pos, row.folded, row.duplicates) for row in found}


def refresh_summary(
    warehouse: Warehouse,
    duplicate_window: int,
    up_to: Mapping[Partition, int] | None = None,
    advance: Callable[[int], None] = lambda offsets: None,
) -> Refreshed:
    """Take up the raw events that the summary does not have, up to these offsets, or to all that the sink has loaded.

    ``advance`` is called with the number of offsets of each transaction. Raises `SumTooLarge`, and `RulesDiffer` when
    the warehouse has kinds of events that are not known here.
    """
    while _removed_some(warehouse):
        pass
    total = Refreshed(0, 0, 0)
    for part in sorted({part for _, part in _waiting(warehouse, up_to)}):
        while True:
            with working(warehouse, writes=True) as connection:
                require_whole(connection)
                require_known_kinds(connection, warehouse.kinds)
                ranges = _ranges(connection, part, up_to)
                if not ranges:
                    break
                done = _take_up(connection, warehouse.kinds, part, ranges, duplicate_window)
            total = Refreshed(*map(sum, zip(total, done, strict=True)))
            advance(sum(end - start for start, end in ranges.values()))
    return total


def waiting(warehouse: Warehouse, up_to: Mapping[Partition, int] | None = None) -> int:
    """How many offsets `refresh_summary` would take up."""
    return sum(_waiting(warehouse, up_to).values())


def summary_at_odds(warehouse: Warehouse) -> bool:
    """Whether there are not as many raw events as the summary has taken up."""
    with reading(warehouse, SUMMARY_SECONDS) as connection:
        return at_odds(connection, read_summed(connection))


def empty_summary(warehouse: Warehouse) -> None:
    """Empty the summary, so that the next refresh builds it anew. If this ends half-way, that one finishes it first."""
    with one_at_a_time(warehouse) as connection:
        insert(connection, "meta", ("name", "value"), [_EMPTYING], unless_there=True)
    while _removed_some(warehouse):
        pass


def require_whole_summary(warehouse: Warehouse) -> None:
    """Raise `Fenced` while somebody empties the summary."""
    with reading(warehouse) as connection:
        require_whole(connection)


def require_whole(connection: Connection) -> None:
    """`require_whole_summary`, as the transaction of ``connection`` sees it."""
    if _emptying(connection):
        raise Fenced("the batch summary is being built anew by another process: try again when it is done.")


def _emptying(connection: Connection) -> bool:
    query = text("SELECT COUNT(*) FROM meta WHERE name = :name")
    return bool(connection.execute(query, {"name": _EMPTYING[0]}).scalar_one())


def _removed_some(warehouse: Warehouse) -> bool:
    """Remove the first users of a summary that is to be emptied; whether there were any."""
    first = f"SELECT user_id FROM user_summary ORDER BY user_id LIMIT 1 OFFSET {USERS_AT_A_TIME}"
    with one_at_a_time(warehouse) as connection:
        if not _emptying(connection):
            return False
        after = connection.execute(text(first)).scalar_one_or_none()
        some, up_to = ("", {}) if after is None else ("AND user_id < :after", {"after": after})
        for part in connection.execute(text("SELECT DISTINCT part FROM summary_offsets")).scalars().all():
            connection.execute(text(f"DELETE FROM user_seen WHERE part = {part} {some}"), up_to)
        connection.execute(text(f"DELETE FROM user_summary WHERE 1 = 1 {some}"), up_to)
        if after is None:
            connection.execute(text("DELETE FROM summary_offsets"))
            connection.execute(text("DELETE FROM meta WHERE name = :name"), {"name": _EMPTYING[0]})
    return True


def _waiting(warehouse: Warehouse, up_to: Mapping[Partition, int] | None) -> dict[Partition, int]:
    with reading(warehouse) as connection:
        goal, at = _goal(connection, up_to), read_summed(connection)
    found = {where: end - _next(at, where) for where, end in goal.items()}
    return {where: count for where, count in found.items() if count > 0}


def _goal(connection: Connection, up_to: Mapping[Partition, int] | None) -> dict[Partition, int]:
    loaded = {where: each.next_pos for where, each in read_loaded(connection).items()}
    return loaded if up_to is None else {at: min(end, loaded.get(at, 0)) for at, end in up_to.items()}


def _next(at: Mapping[Partition, Summed], where: Partition) -> int:
    return at[where].next_pos if where in at else 0


def _ranges(connection: Connection, part: int, up_to: Mapping[Partition, int] | None) -> Ranges:
    """The next offsets of a shard to take up, not too many of them."""
    at, room, ranges = read_summed(connection), ROWS_AT_A_TIME, {}
    for (topic, of), end in sorted(_goal(connection, up_to).items()):
        start = _next(at, (topic, of))
        if of == part and end > start and room:
            ranges[topic] = (start, min(end, start + room))
            room -= ranges[topic][1] - start
    return ranges


def _take_up(
    connection: Connection, kinds: tuple[Kind, ...], part: int, ranges: Ranges, duplicate_window: int
) -> Refreshed:
    where = {"part": part, "ranges": ranges}
    run("repeats.sql", connection, kinds, **where, back=False, duplicate_window=duplicate_window)
    run("fold.sql", connection, kinds, **where, snapshot_id=None)
    _require_fitting(connection, kinds)
    run("merge.sql", connection, kinds, part=part)
    new, before = counted(connection, part, ranges), read_summed(connection)
    for topic, each in new.items():
        earlier = before.get((topic, part), Summed(0, 0, 0))
        now = Summed(each.next_pos, earlier.folded + each.folded, earlier.duplicates + each.duplicates)
        replace = "REPLACE INTO summary_offsets VALUES (:topic, :part, :next_pos, :folded, :duplicates)"
        connection.execute(text(replace), {"topic": topic, "part": part, **now._asdict()})
    users = connection.execute(text("SELECT COUNT(*) FROM merged")).scalar_one()
    duplicates = sum(each.duplicates for each in new.values())
    return Refreshed(sum(each.folded for each in new.values()) + duplicates, duplicates, users)


def counted(connection: Connection, part: int, ranges: Ranges) -> dict[str, Summed]:
    """What became of the raw events in these offsets, by topic, once ``repeats.sql`` has found the duplicates."""
    repeats = dict(map(tuple, connection.execute(text("SELECT topic, COUNT(*) FROM repeats GROUP BY topic"))))
    found = {}
    for topic, (start, end) in ranges.items():
        query = f"SELECT COUNT(*) FROM raw_{topic} WHERE part = :part AND pos >= :start AND pos < :end"
        events = connection.execute(text(query), {"part": part, "start": start, "end": end}).scalar_one()
        found[topic] = Summed(end, events - repeats.get(topic, 0), repeats.get(topic, 0))
    return found


def at_odds(connection: Connection, at: Mapping[Partition, Summed]) -> bool:
    """`summary_at_odds`, as the transaction of ``connection`` sees it."""
    for (topic, part), each in at.items():
        query = f"SELECT COUNT(*) FROM raw_{topic} WHERE part = :part AND pos < :end"
        events = connection.execute(text(query), {"part": part, "end": each.next_pos}).scalar_one()
        if events != each.folded + each.duplicates:
            return True
    return False


def _require_fitting(connection: Connection, kinds: tuple[Kind, ...]) -> None:
    """Raise `SumTooLarge` if a sum of amounts would need more than 64 bits, of which SQLite would make a float."""
    for name in [kind.fields[-1] for kind in kinds if kind.measure == "amount"]:
        query = f"""
            SELECT a.user_id FROM added a JOIN user_summary s ON s.user_id = a.user_id
            WHERE (a.`{name}` > 0 AND s.`{name}` > {2**63 - 1} - a.`{name}`)
                OR (a.`{name}` < 0 AND s.`{name}` < -{2**63 - 1} - 1 - a.`{name}`) LIMIT 1
        """
        user = connection.execute(text(query)).scalar_one_or_none()
        if user is not None:
            raise SumTooLarge(shown(bytes(user)), name)
