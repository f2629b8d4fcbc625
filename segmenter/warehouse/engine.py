"""How a warehouse is reached: connections, transactions, and writing in bulk."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from sqlite3 import OperationalError
from typing import Any, NamedTuple

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from segmenter.errors import Forbidden, SettingsError, Unreachable
from segmenter.kinds import Kind
from segmenter.settings import Settings
from segmenter.warehouse.dialects import ANSWER_SECONDS, DIALECTS, dialect, digest


class Warehouse(NamedTuple):
    """A way to the database, which holds no connection until one is needed, and the kinds of events that it stores."""

    engine: Engine
    kinds: tuple[Kind, ...]


SUMMARY_SECONDS = 3_600
"""How long a server may take to answer where all rows of a table are read or written."""

ALONE_SECONDS = 600
"""How long to wait for another process that changes tables."""

REFUSALS = (1044, 1045, 1142, 1143, 1227)
"""What MySQL answers to who may not: connect, use a database, run a command on a table or column, or at all."""
_PATIENCE_SECONDS = 5


@contextmanager
def connect(settings: Settings) -> Iterator[Warehouse]:
    """The warehouse of ``settings``: SQLite, MySQL or MariaDB.

    Nothing is asked of it yet; its connections are closed at the end.
    """
    parsed = make_url(settings.warehouse_url)
    if not parsed.database:
        raise SettingsError(
            f"SEGMENTER_WAREHOUSE_URL {_shown(parsed)!r} names no database: put it after the last slash."
        )
    engine = create_engine(parsed, **DIALECTS[parsed.get_backend_name()].options)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    event.listen(engine, "do_connect", _connect)
    try:
        yield Warehouse(engine, settings.kinds)
    finally:
        engine.dispose()


def _connect(dialect: Any, _: object, arguments: Any, options: Any) -> Any:
    try:
        return dialect.connect(*arguments, **options)
    except TypeError as error:
        raise SettingsError(f"SEGMENTER_WAREHOUSE_URL has an option that the driver does not know: {error}.") from None


def _shown(url: URL) -> str:
    return url.render_as_string(hide_password=True)


def _prepare_sqlite(connection: Any, _: object) -> None:
    """Of two that turn a new file to write-ahead logging at once, SQLite refuses one at once: it tries again."""
    give_up = time.monotonic() + _PATIENCE_SECONDS
    while not _turned_to_wal(connection, must=time.monotonic() > give_up):
        time.sleep(0.02)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.create_function("digest", 1, digest, deterministic=True)


def _turned_to_wal(connection: Any, *, must: bool) -> bool:
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except OperationalError:
        if must:
            raise
        return False
    return True


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes the write lock at once: a reader that turns writer later can be refused."""
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def writing(warehouse: Warehouse, seconds: int = ANSWER_SECONDS) -> Iterator[Connection]:
    """One transaction that writes: all of it, or none if the block raises.

    A server that keeps silent for so many ``seconds`` is `Unreachable`, and whether it has committed is unknown.
    """
    with _transaction(warehouse.engine.execution_options(writes=True), seconds) as connection:
        yield connection


@contextmanager
def reading(warehouse: Warehouse, seconds: int = ANSWER_SECONDS) -> Iterator[Connection]:
    """One transaction that reads: all its queries see the same moment. ``seconds`` as in `writing`."""
    with _transaction(warehouse.engine, seconds) as connection:
        yield connection


@contextmanager
def calculating(warehouse: Warehouse, *, writes: bool) -> Iterator[Connection]:
    """One transaction with temporary tables, which are gone after it. It does not hold up who loads raw events.

    Each query sees what was committed before it began, so nobody else may write what several of them read.
    """
    options: dict[str, Any] = {"writes": writes}
    if warehouse.engine.dialect.name != "sqlite":
        options["isolation_level"] = "READ COMMITTED"
    with _transaction(warehouse.engine.execution_options(**options), SUMMARY_SECONDS) as connection:
        if connection.dialect.name == "sqlite":
            connection.detach()
        yield connection


@contextmanager
def _transaction(engine: Engine, seconds: int) -> Iterator[Connection]:
    with _reaching(engine), engine.begin() as connection:
        if seconds > ANSWER_SECONDS and connection.dialect.name != "sqlite":
            _allow_silence(connection, seconds)
        yield connection


@contextmanager
def alone(warehouse: Warehouse) -> Iterator[None]:
    """No two processes are in such a block of one database at once, so that both may change its tables.

    Of SQLite, each transaction that writes is alone by itself.
    """
    if warehouse.engine.dialect.name == "sqlite":
        yield
        return
    name = "CONCAT('segmenter.', MD5(DATABASE()))"
    with _transaction(warehouse.engine, SUMMARY_SECONDS) as connection:
        if not connection.exec_driver_sql(f"SELECT GET_LOCK({name}, {ALONE_SECONDS})").scalar_one():
            raise Unreachable(f"another process has been changing the tables for {ALONE_SECONDS} s: try again later.")
        try:
            yield
        finally:
            connection.exec_driver_sql(f"SELECT RELEASE_LOCK({name})")


def _allow_silence(connection: Connection, seconds: int) -> None:
    """Let either side be silent for so long; the connection is closed after this transaction."""
    connection.detach()
    driver: Any = connection.connection.dbapi_connection
    driver._read_timeout = seconds
    waits = f"wait_timeout = {seconds}, net_write_timeout = {seconds}, innodb_lock_wait_timeout = {ALONE_SECONDS}"
    connection.exec_driver_sql(f"SET SESSION {waits}")


@contextmanager
def _reaching(engine: Engine) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        where, reason = f"the warehouse at {_shown(engine.url)}", getattr(error, "orig", None) or error
        if reason.args and reason.args[0] in REFUSALS:
            raise Forbidden(
                f"{where} does not allow that ({reason.args[1]}): grant it (docs/security.md), or name another user in "
                "SEGMENTER_WAREHOUSE_URL."
            ) from error
        trust = " Is its certificate for this name, and signed by SEGMENTER_TLS_CA?" if "SSL" in str(reason) else ""
        raise Unreachable(
            f"{where} does not answer as it should ({reason}). Is it running, and is SEGMENTER_WAREHOUSE_URL its "
            f"address?{trust}"
        ) from error


def listed(columns: Iterable[str]) -> str:
    """Names of columns between commas, in backticks: all three databases take these, also about a word of SQL.

    >>> listed(["groups", "group_amount"])
    '`groups`, `group_amount`'
    """
    return ", ".join([f"`{name}`" for name in columns])


def insert(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
    *,
    unless_there: bool = False,
) -> None:
    """Insert rows in bulk; with ``unless_there``, a row whose key is there already is left as it is."""
    if not rows:
        return
    particular = dialect(connection)
    marks = ", ".join(particular.mark for _ in columns)
    statement = f"INSERT INTO {table} ({listed(columns)}) VALUES ({marks})"
    if unless_there:
        statement += " " + particular.unless_there.format(first=columns[0])
    connection.exec_driver_sql(statement, list(rows))


def replace_view(connection: Connection, name: str, query: str) -> None:
    """Make a view, in place of the one of this name; who reads it needs the right to read what it reads."""
    for statement in dialect(connection).new_view:
        connection.execute(text(statement.format(name=name, query=query)))
