"""Recommendations for all users: the latest run replaces the one before, and is there as a whole or not at all.

A run is too long for one transaction, during which the sink might have to wait. So its rows are written in several, and
the last one makes it the run that counts. What an interrupted run has left is removed at the end of the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from segmenter.errors import Fenced
from segmenter.warehouse.engine import SUMMARY_SECONDS, Warehouse, insert, writing

COLUMNS = ("user_id", "place", "item_id", "score", "segment", "basis", "share", "lift", "near")
"""Of a recommendation, without the number of its run."""

ROWS_AT_A_TIME = 10_000

_LATEST = "recommendation_run"


class RecommendationRun(NamedTuple):
    """From which snapshot, and how many users and items there were; ``recommendations`` is the number of rows."""

    snapshot_id: int
    users: int
    items: int
    recommendations: int
    taken_ms: int


def write_recommendations(
    warehouse: Warehouse, snapshot_id: int, users: int, items: int, taken_ms: int, rows: Iterable[Sequence[Any]]
) -> tuple[int, RecommendationRun]:
    """Store a run with its rows, each in the order of `COLUMNS`, in place of all before; returns its number, from 1 on.

    Raises `Fenced` when another run has begun meanwhile: then that one counts.
    """
    number = _begin(warehouse)
    written = 0
    for batch in _batches(rows):
        with writing(warehouse, SUMMARY_SECONDS) as connection:
            _require_latest(connection, number)
            insert(connection, "recommendations", ("run_id", *COLUMNS), [(number, *row) for row in batch])
        written += len(batch)
    run = RecommendationRun(snapshot_id, users, items, written, taken_ms)
    with writing(warehouse) as connection:
        _require_latest(connection, number)
        connection.execute(text("DELETE FROM recommendation_runs"))
        insert(connection, "recommendation_runs", ("run_id", *RecommendationRun._fields), [(number, *run)])
    _remove_before(warehouse, number)
    return number, run


def _begin(warehouse: Warehouse) -> int:
    with writing(warehouse) as connection:
        insert(connection, "meta", ("name", "value"), [(_LATEST, "0")], unless_there=True)
        number = _latest(connection) + 1
        connection.execute(
            text("UPDATE meta SET value = :number WHERE name = :name"), {"number": str(number), "name": _LATEST}
        )
        return number


def _latest(connection: Connection) -> int:
    """The number of the run that began last; nobody else begins one before the end of this transaction."""
    connection.execute(text("UPDATE meta SET name = name WHERE name = :name"), {"name": _LATEST})
    return int(connection.execute(text("SELECT value FROM meta WHERE name = :name"), {"name": _LATEST}).scalar_one())


def _require_latest(connection: Connection, number: int) -> None:
    if _latest(connection) != number:
        raise Fenced("another `segmenter recommend --all` has begun meanwhile: its recommendations count.")


def _batches(rows: Iterable[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    batch = []
    for row in rows:
        batch.append(row)
        if len(batch) == ROWS_AT_A_TIME:
            yield batch
            batch = []
    if batch:
        yield batch


def _remove_before(warehouse: Warehouse, number: int) -> None:
    """Remove the rows of all runs before this one."""
    query = "SELECT run_id, user_id FROM recommendations WHERE run_id < :number ORDER BY run_id, user_id"
    while True:
        with writing(warehouse, SUMMARY_SECONDS) as connection:
            found = connection.execute(text(f"{query} LIMIT {ROWS_AT_A_TIME}"), {"number": number}).all()
            if not found:
                return
            run, user = found[-1]
            connection.execute(text("DELETE FROM recommendations WHERE run_id < :run"), {"run": run})
            up_to = text("DELETE FROM recommendations WHERE run_id = :run AND user_id <= :user")
            connection.execute(up_to, {"run": run, "user": bytes(user)})
