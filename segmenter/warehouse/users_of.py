"""The users of a snapshot, be it whole or incremental.

An incremental snapshot holds those users only who are not as in its base, the whole snapshot before it; of the others
the cuts and the generation follow from the snapshot's own (``sql/users_of.sql``). What is equal to that is not stored,
so reading it back gives every row as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, text

from segmenter.kinds import Kind, catalogue
from segmenter.model.profiles import fields
from segmenter.warehouse.columns import cut_columns, user_columns, value_columns
from segmenter.warehouse.dialects import dialect
from segmenter.warehouse.engine import insert
from segmenter.warehouse.templates import statements

Rows = Iterable[Sequence[tuple[Any, ...]]]
"""Users in batches, each in the order of `user_columns`."""


def base_of(connection: Connection, snapshot_id: int) -> int:
    """The base of a snapshot; 0 if it is whole, or there is none of this number."""
    query = text("SELECT base_id FROM snapshots WHERE snapshot_id = :number")
    return int(connection.execute(query, {"number": snapshot_id}).scalar() or 0)


def sources(connection: Connection, kinds: tuple[Kind, ...], snapshot_id: int) -> list[str]:
    """What holds the users of a snapshot, as one or two tables or queries in SQL.

    Each has the columns of ``snapshot_users``, and a condition on ``snapshot_id`` must follow. No user is in both.
    """
    base = base_of(connection, snapshot_id)
    return ["snapshot_users", _query(connection, kinds, snapshot_id, base, [base])] if base else ["snapshot_users"]


def users_of(connection: Connection, kinds: tuple[Kind, ...], snapshot_id: int) -> str:
    """These as one table, or query in parentheses."""
    base = base_of(connection, snapshot_id)
    return _query(connection, kinds, snapshot_id, base, [snapshot_id, base]) if base else "snapshot_users"


def _query(
    connection: Connection, kinds: tuple[Kind, ...], snapshot_id: int, base_id: int, places: Sequence[int]
) -> str:
    names = _names(connection, kinds, snapshot_id, base_id)
    (query,) = statements("users_of.sql", **names, places=places)
    return f"({query})"


def _names(connection: Connection, kinds: tuple[Kind, ...], snapshot_id: int, base_id: int) -> dict[str, Any]:
    query = text("SELECT snapshot_id, generation FROM snapshots WHERE snapshot_id IN (:number, :base)")
    found = connection.execute(query, {"number": snapshot_id, "base": base_id})
    generations = dict(map(tuple, found))
    return {
        **{"kinds": kinds, "values": list(value_columns(kinds)), "cut_columns": list(cut_columns(kinds))},
        **{"snapshot_id": snapshot_id, "base_id": base_id, "same": dialect(connection).same},
        **{"generation": generations.get(snapshot_id, 0), "base_generation": generations.get(base_id, 0)},
    }


def base_for_next(connection: Connection) -> int:
    """The snapshot that an incremental one may have as its base: the latest whole one; 0 if it should be whole itself.

    It should if there is none, or if more than half of the users had changed when the last one was taken.
    """
    query = text("SELECT snapshot_id, base_id, users FROM snapshots ORDER BY snapshot_id DESC LIMIT 1")
    latest = connection.execute(query).one_or_none()
    if latest is None:
        return 0
    if not latest.base_id:
        return int(latest.snapshot_id)
    count = text("SELECT COUNT(*) FROM snapshot_users WHERE snapshot_id = :number")
    changed = connection.execute(count, {"number": latest.snapshot_id}).scalar_one()
    return 0 if changed * 2 > latest.users else int(latest.base_id)


def insert_whole(connection: Connection, kinds: tuple[Kind, ...], snapshot_id: int, users: Rows) -> int:
    """Store every user, and return how many there are."""
    columns, count = ("snapshot_id", *user_columns(kinds)), 0
    for batch in users:
        insert(connection, "snapshot_users", columns, [(snapshot_id, *row) for row in batch])
        count += len(batch)
    return count


def insert_increment(
    connection: Connection, kinds: tuple[Kind, ...], snapshot_id: int, base_id: int, users: Rows
) -> int:
    """Store the users who are not as in the base, and who is gone since; return how many users there are now.

    The snapshot itself and its cuts have been stored. The connection must have come from `calculating`.
    """
    names = {"fields": fields(kinds), "features": catalogue(kinds), "cut_columns": cut_columns(kinds)}
    (table,) = statements("arriving_users.sql", **names)
    connection.execute(text(f"{table} {dialect(connection).table_options}"))
    count = 0
    for batch in users:
        insert(connection, "arriving_users", user_columns(kinds), batch)
        count += len(batch)
    for statement in statements("increment.sql", **_names(connection, kinds, snapshot_id, base_id)):
        connection.execute(text(statement))
    return count
