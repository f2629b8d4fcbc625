"""What the statements of the batch summary have in common: their temporary tables, and the names in their templates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from segmenter.errors import SumTooLarge
from segmenter.kinds import Kind, catalogue
from segmenter.model.profiles import fields
from segmenter.warehouse.dialects import dialect
from segmenter.warehouse.engine import Warehouse, calculating, insert, listed
from segmenter.warehouse.templates import statements

DISTINCT = (
    ("d", "distinct_days", "(e.time_ms - e.time_ms % 86400000)"),
    ("s", "distinct_sessions", "e.session_id"),
    ("p", "distinct_pages", "e.url"),
    ("q", "distinct_queries", "e.query"),
)
"""What is counted once for each user: its letter in ``user_seen``, its column in ``user_summary``, and its value."""

_ONE_AT_A_TIME = ("summary", "whoever writes the batch summary locks this row")
_TOO_LARGE = 1264
"""What MySQL and MariaDB answer when a number does not fit into its column."""


def columns(kinds: tuple[Kind, ...]) -> tuple[str, ...]:
    """The columns of ``user_summary``."""
    return ("user_id", *fields(kinds), *[column for _, column, _ in DISTINCT])


@contextmanager
def one_at_a_time(warehouse: Warehouse) -> Iterator[Connection]:
    """One transaction that may write the summary; others wait for it."""
    with calculating(warehouse, writes=True) as connection:
        insert(connection, "meta", ("name", "value"), [_ONE_AT_A_TIME], unless_there=True)
        yield connection


@contextmanager
def working(warehouse: Warehouse, *, writes: bool) -> Iterator[Connection]:
    """One transaction with the temporary tables of the summary; of those that write it, only one at a time."""
    with one_at_a_time(warehouse) if writes else calculating(warehouse, writes=False) as connection:
        options = dialect(connection).table_options
        for statement in rendered("work_tables.sql", connection, warehouse.kinds):
            connection.execute(text(f"{statement} {options}"))
        yield connection


def rendered(name: str, connection: Connection, kinds: tuple[Kind, ...], **more: Any) -> list[str]:
    """The statements of a template for these kinds and this database."""
    names = {"fields": fields(kinds), "features": catalogue(kinds), "every_column": listed(columns(kinds))}
    return statements(name, kinds=kinds, **names, distinct=DISTINCT, digest=dialect(connection).digest, **more)


def run(name: str, connection: Connection, kinds: tuple[Kind, ...], **more: Any) -> None:
    """Execute them. Raises `SumTooLarge` when the database says that a sum does not fit."""
    for statement in rendered(name, connection, kinds, **more):
        with fitting():
            connection.execute(text(statement))


@contextmanager
def fitting() -> Iterator[None]:
    """Raise `SumTooLarge` for what the database raises when a sum needs more than 64 bits: it does not say whose."""
    try:
        yield
    except DBAPIError as error:
        reason = error.orig.args if error.orig else ()
        if reason and (reason[0] == _TOO_LARGE or "integer overflow" in str(reason[0])):
            raise SumTooLarge("(the database does not tell which)", "a sum") from error
        raise
