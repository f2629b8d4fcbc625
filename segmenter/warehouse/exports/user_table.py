"""The table of users in another database, replaced as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from uuid import uuid4

from sqlalchemy import BigInteger, Column, Connection, DateTime, Double, MetaData, String, Table, delete, inspect
from sqlalchemy import insert as inserting
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateColumn
from sqlalchemy.types import TypeEngine

from segmenter.errors import UsageError
from segmenter.settings.urls import masked
from segmenter.warehouse.exports.databases import transaction

if TYPE_CHECKING:
    import pandas as pd

TABLE = "user_segments"
"""The name of the table, by default."""

ColumnType = Literal["text", "integer", "number", "time"]
"""What a column holds: text, 64-bit integers, 64-bit floating point, or moments of UTC in milliseconds."""

_OURS = {"user_id", "segment", "segment_name", "snapshot_id", "taken_at"}
"""The columns by which a table is known as one that was exported."""


class Copied(NamedTuple):
    """How many users are in the table, and how many are left out, since PostgreSQL holds no text with a NUL."""

    rows: int
    left_out: int


def replace_table(target: str, name: str, columns: Mapping[str, ColumnType], frames: Iterable[pd.DataFrame]) -> Copied:
    """Let the table hold the users of ``frames`` in place of those before; who reads it sees all of these or of those.

    A table that is there keeps its rights, indexes and views. One that is not is made under another name, which it has
    until it is complete. Raises `UsageError` for a table that is somebody else's, and what `transaction` does.
    """
    with transaction(target) as connection:
        there = inspect(connection).has_table(name)
        table = _table(connection, name if there else _unique(name), columns)
        if there:
            _empty(connection, table, target)
        else:
            table.create(connection)
        try:
            copied = _insert_all(connection, table, frames)
            if not there:
                quote = connection.dialect.identifier_preparer.quote
                connection.exec_driver_sql(f"ALTER TABLE {quote(table.name)} RENAME TO {quote(name)}")
        except BaseException:
            if not there:  # MySQL has committed by now that it is there
                with suppress(SQLAlchemyError):
                    table.drop(connection)
            raise
        return copied


def _unique(name: str) -> str:
    """The name of a table that is not complete: nobody else's, and at most as long as PostgreSQL's 63."""
    return f"{name[:43]}_incomplete_{uuid4().hex[:8]}"


def _table(connection: Connection, name: str, columns: Mapping[str, ColumnType]) -> Table:
    types = _types(connection)
    return Table(name, MetaData(), *[Column(column, types[type_]) for column, type_ in columns.items()])


def _types(connection: Connection) -> dict[ColumnType, TypeEngine[Any]]:
    text: TypeEngine[Any] = String(128)
    time: TypeEngine[Any] = DateTime(timezone=True)
    if connection.dialect.name in ("mysql", "mariadb"):  # else it ignores spaces at the end, and drops milliseconds
        collation = "utf8mb4_nopad_bin" if getattr(connection.dialect, "is_mariadb", False) else "utf8mb4_0900_bin"
        text, time = mysql.VARCHAR(128, charset="utf8mb4", collation=collation), mysql.DATETIME(fsp=3)
    return {"text": text, "integer": BigInteger(), "number": Double(), "time": time}


def _empty(connection: Connection, table: Table, target: str) -> None:
    """Take out all rows, and add the columns of kinds that were added since."""
    quoted = connection.dialect.identifier_preparer.format_table(table)
    found = set(connection.exec_driver_sql(f"SELECT * FROM {quoted} WHERE 1 = 0").keys())
    foreign, lacking = sorted(found - set(table.columns.keys())), sorted(_OURS - found)
    if foreign or lacking:
        why = f"has columns that an export lacks ({', '.join(foreign)})" if foreign else f"lacks {', '.join(lacking)}"
        raise UsageError(
            f"the table {table.name} at {masked(target)} is not one of these exports: it {why}. Name another by "
            "--table, or drop this one."
        )
    if connection.dialect.name == "postgresql":  # of two exports at once, the second deletes what the first inserted
        connection.exec_driver_sql(f"LOCK TABLE {quoted} IN SHARE ROW EXCLUSIVE MODE")
    for column in table.columns:
        if column.name not in found:
            definition = CreateColumn(column).compile(dialect=connection.dialect)
            connection.exec_driver_sql(f"ALTER TABLE {quoted} ADD COLUMN {definition}")
    connection.execute(delete(table))


def _insert_all(connection: Connection, table: Table, frames: Iterable[pd.DataFrame]) -> Copied:
    rows = left_out = 0
    for frame in frames:
        fits = frame
        if connection.dialect.name == "postgresql":
            fits = frame[~frame["user_id"].str.contains("\0", regex=False)]
        if len(fits):
            _insert(connection, table, fits)
        rows += len(fits)
        left_out += len(frame) - len(fits)
    return Copied(rows, left_out)


def _insert(connection: Connection, table: Table, frame: pd.DataFrame) -> None:
    if connection.dialect.name == "duckdb":  # row by row it takes a hundred times as long
        preparer = connection.dialect.identifier_preparer
        names = ", ".join([preparer.quote(name) for name in frame.columns])
        connection.exec_driver_sql("register", ("arriving", frame))
        connection.exec_driver_sql(f"INSERT INTO {preparer.format_table(table)} ({names}) SELECT {names} FROM arriving")
        return
    records: Any = frame.astype(object).where(frame.notna(), None).to_dict("records")
    connection.execute(inserting(table), records)
