"""Raw events, and the offsets up to which they have been loaded; both change in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, inspect, text

from segmenter import crash_points
from segmenter.errors import Fenced, RulesDiffer
from segmenter.events import Rules, agreeing
from segmenter.kinds import Kind, by_topic
from segmenter.warehouse.columns import raw_columns
from segmenter.warehouse.engine import SUMMARY_SECONDS, Warehouse, insert, reading, writing
from segmenter.warehouse.gaps import Gap, record

Partition = tuple[str, int]
"""A topic, without prefix, and a partition of it."""

RawRow = tuple[Any, ...]
"""One raw event, in the order of `raw_columns`."""

_ONE_AT_A_TIME = ("sink", "whoever begins partitions locks this row")


class Loaded(NamedTuple):
    """The next offset to load of a partition, and the id of its topic."""

    topic_id: str
    next_pos: int


class Move(NamedTuple):
    """The offsets of a partition before and after a load."""

    start: int
    end: int


def claim_rules(warehouse: Warehouse, rules: Rules, may_lack_kinds: bool = False) -> None:
    """Make sure that the warehouse has these rules. It gets those that it lacks, and kinds that are new to it.

    Raises `RulesDiffer` with each rule that is not the same; ``may_lack_kinds`` allows that it has more kinds.
    """
    body = msgspec.json.encode(rules).decode()
    with reading(warehouse) as connection:
        if _stored_rules(connection) == msgspec.json.decode(body):
            return
    with writing(warehouse) as connection:
        insert(connection, "meta", ("name", "value"), [("rules", body)], unless_there=True)
        stored = _stored_rules(connection)
        theirs = agreeing("the warehouse", stored, rules, may_lack_kinds)
        if set(theirs.kinds) - set(rules.kinds):
            return
        connection.execute(text("UPDATE meta SET value = :body WHERE name = 'rules'"), {"body": body})


def require_rules(warehouse: Warehouse, rules: Rules, may_lack_kinds: bool = False) -> None:
    """Raise `RulesDiffer` if the warehouse has other rules, or kinds that these lack; it may have none yet."""
    with reading(warehouse) as connection:
        if inspect(connection).has_table("meta") and (stored := _stored_rules(connection)):
            agreeing("the warehouse", stored, rules, may_lack_kinds)


def require_known_kinds(connection: Connection, kinds: tuple[Kind, ...]) -> None:
    """Raise `RulesDiffer` if the warehouse has kinds beside these: then what depends on all must not be written."""
    theirs, ours = ([kind.name for kind in each] for each in (stored_kinds(connection), kinds))
    if set(theirs) - set(ours):
        raise RulesDiffer("the warehouse", {"kinds": theirs}, {"kinds": ours})


def stored_kinds(connection: Connection) -> tuple[Kind, ...]:
    """The kinds that the warehouse has."""
    return msgspec.convert(_stored_rules(connection).get("kinds", []), tuple[Kind, ...])


def _stored_rules(connection: Connection) -> dict[str, object]:
    found = connection.execute(text("SELECT value FROM meta WHERE name = 'rules'")).scalar_one_or_none()
    return msgspec.json.decode(found, type=dict[str, object]) if found else {}


def loaded(warehouse: Warehouse) -> dict[Partition, Loaded]:
    """How far each partition has been loaded; one that never was is absent."""
    with reading(warehouse) as connection:
        return read_loaded(connection)


def read_loaded(connection: Connection) -> dict[Partition, Loaded]:
    """`loaded`, as the transaction of ``connection`` sees it."""
    found = connection.execute(text("SELECT topic, part, topic_id, next_pos FROM sink_offsets"))
    return {(row.topic, row.part): Loaded(row.topic_id, row.next_pos) for row in found}


def raw_rows(warehouse: Warehouse) -> dict[str, int]:
    """How many raw events the warehouse holds, by topic."""
    with reading(warehouse, SUMMARY_SECONDS) as connection:
        return {
            kind.topic: connection.execute(text(f"SELECT COUNT(*) FROM raw_{kind.topic}")).scalar_one()
            for kind in warehouse.kinds
        }


def begin(warehouse: Warehouse, starts: Mapping[Partition, Loaded], now_ms: int) -> list[Gap]:
    """Store from where partitions will be loaded, where nothing is stored yet; returns the gaps before that."""
    with writing(warehouse) as connection:
        insert(connection, "meta", ("name", "value"), [_ONE_AT_A_TIME], unless_there=True)
        known = read_loaded(connection)
        new = {where: start for where, start in starts.items() if where not in known}
        rows = [(topic, part, *start) for (topic, part), start in new.items()]
        insert(connection, "sink_offsets", ("topic", "part", "topic_id", "next_pos"), rows)
        gaps = [Gap(*where, 0, start.next_pos, now_ms) for where, start in new.items() if start.next_pos]
        record(connection, gaps)
    return gaps


def load(warehouse: Warehouse, rows: Mapping[str, Sequence[RawRow]], moves: Mapping[Partition, Move]) -> None:
    """Add raw rows by topic and move the offsets past them, all or nothing.

    Raises `Fenced`, with nothing changed, when a partition is no longer at the start of its move:
    another sink has loaded it meanwhile.
    """
    move = text("UPDATE sink_offsets SET next_pos = :end WHERE topic = :topic AND part = :part AND next_pos = :start")
    with writing(warehouse) as connection:
        for (topic, part), (start, end) in sorted(moves.items()):
            moved = connection.execute(move, {"topic": topic, "part": part, "start": start, "end": end})
            if moved.rowcount != 1:
                raise Fenced(
                    f"topic {topic!r} partition {part} no longer stands at {start} in the warehouse: "
                    "another sink has loaded it meanwhile. Read the offsets again."
                )
        for topic, batch in rows.items():
            insert(connection, f"raw_{topic}", raw_columns(by_topic(warehouse.kinds)[topic]), batch)
        crash_points.reached("insert")
