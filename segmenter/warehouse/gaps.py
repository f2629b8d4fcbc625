"""Gaps: the offsets that the sink did not load, since the log no longer held them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, text

from segmenter.errors import Fenced
from segmenter.warehouse.engine import Warehouse, insert, reading, writing


class Gap(NamedTuple):
    """Offsets of one partition that are not in the warehouse: from ``first_pos`` on, before ``end_pos``."""

    topic: str
    part: int
    first_pos: int
    end_pos: int
    recorded_ms: int
    """When the sink passed over them, in ms since 1970; 0 for one that the migration from 0.1.0 only assumes."""


def recorded_gaps(warehouse: Warehouse) -> list[Gap]:
    """Every gap, by topic and partition."""
    with reading(warehouse) as connection:
        return read_gaps(connection)


def read_gaps(connection: Connection) -> list[Gap]:
    """`recorded_gaps`, as the transaction of ``connection`` sees them."""
    query = f"SELECT {', '.join(Gap._fields)} FROM sink_gaps WHERE end_pos > first_pos ORDER BY topic, part, first_pos"
    return [Gap(*row) for row in connection.execute(text(query))]


def begins(found: Iterable[Gap]) -> dict[int, dict[str, int]]:
    """The first offset of each topic that the warehouse knows of a partition, where that is not 0.

    >>> begins([Gap("views", 3, 0, 70, 1), Gap("views", 3, 90, 95, 2)])
    {3: {'views': 70}}
    """
    known: dict[int, dict[str, int]] = {}
    for gap in found:
        if gap.first_pos == 0:
            known.setdefault(gap.part, {})[gap.topic] = gap.end_pos
    return known


def record(connection: Connection, found: Sequence[Gap]) -> None:
    """Record gaps; one that begins at the same offset as a recorded one is the same."""
    insert(connection, "sink_gaps", Gap._fields, found, unless_there=True)


def withdraw(warehouse: Warehouse, partitions: Iterable[tuple[str, int]]) -> None:
    """Withdraw the gaps that the migration has assumed at the beginning of these partitions, by topic and number."""
    assumed = {(gap.topic, gap.part) for gap in recorded_gaps(warehouse) if not gap.recorded_ms}
    wrong = [{"topic": topic, "part": part} for topic, part in assumed.intersection(partitions)]
    if wrong:
        empty = text("UPDATE sink_gaps SET end_pos = 0 WHERE topic = :topic AND part = :part AND first_pos = 0")
        with writing(warehouse) as connection:
            connection.execute(empty, wrong)


def skip(warehouse: Warehouse, found: Sequence[Gap]) -> None:
    """Record gaps and move the offsets past them, all or nothing.

    Raises `Fenced`, with nothing changed, when a partition no longer stands where its gap begins: another sink has
    passed over it, or loaded it, meanwhile.
    """
    move = text(
        "UPDATE sink_offsets SET next_pos = :end_pos WHERE topic = :topic AND part = :part AND next_pos = :first_pos"
    )
    with writing(warehouse) as connection:
        for gap in sorted(found):
            if connection.execute(move, gap._asdict()).rowcount != 1:
                raise Fenced(f"topic {gap.topic!r} partition {gap.part} no longer stands at {gap.first_pos}")
        record(connection, found)
