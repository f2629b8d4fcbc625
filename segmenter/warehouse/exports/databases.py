"""The databases that tables are exported to: how each is reached, and what its errors mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DataError, IntegrityError, NoSuchModuleError, ProgrammingError, SQLAlchemyError

from segmenter.errors import Forbidden, SegmenterError, Unreachable, UsageError
from segmenter.settings.urls import masked
from segmenter.warehouse.dialects import ANSWER_SECONDS, SQLITE
from segmenter.warehouse.engine import REFUSALS, SUMMARY_SECONDS


class Database(NamedTuple):
    """A kind of database: the package that its driver is in, and the options of its connections."""

    package: str
    options: Mapping[str, Any]


_MYSQL = Database(
    "PyMySQL",
    {
        "connect_args": {
            "charset": "utf8mb4",
            "sql_mode": "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION",
            "connect_timeout": ANSWER_SECONDS,
            "read_timeout": SUMMARY_SECONDS,
            "write_timeout": SUMMARY_SECONDS,
            "init_command": f"SET SESSION wait_timeout = {SUMMARY_SECONDS}",
        }
    },
)
DATABASES = {
    "postgresql": Database("psycopg[binary]", {"connect_args": {"connect_timeout": ANSWER_SECONDS}}),
    "duckdb": Database("duckdb-engine", {}),
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
    "sqlite": Database("", SQLITE.options),
}
"""By how their URLs begin."""

_NO_RIGHT = "42501"
"""What PostgreSQL answers to who may not."""

_NO_DATABASE = 1049
"""What MySQL answers when there is no such database."""

_CANNOT_OPEN = ("unable to open database file", "Cannot open file", "Could not read from file")
"""What SQLite and DuckDB say of a file; that another process writes to it is said otherwise."""


def is_database(target: str) -> bool:
    """Whether a URL is that of a database.

    >>> is_database("postgresql+psycopg://host/db"), is_database("s3://bucket/path"), is_database("mysql")
    (True, False, False)
    """
    scheme, separator, _ = target.partition("://")
    return bool(separator) and scheme.partition("+")[0] in DATABASES


def is_same(one: str, other: str) -> bool:
    """Whether two URLs lead to the same database, whoever the user is and whatever the options are.

    Names of a host are not looked up. Raises `UsageError` for what is no URL of a database.

    >>> is_same("mysql+pymysql://app@db/clicks", "mariadb+pymysql://root@DB:3306/clicks?charset=utf8mb4")
    True
    >>> is_same("sqlite:///here/../x.db", "sqlite:///x.db"), is_same("sqlite:///x.db", "duckdb:///x.db")
    (True, False)
    """
    return _place(_parsed(one)) == _place(_parsed(other))


def _place(url: URL) -> tuple[object, ...]:
    kind = url.get_backend_name()
    if kind in ("mysql", "mariadb"):
        host = (url.host or "localhost").lower()
        return "mysql", "127.0.0.1" if host == "localhost" else host, url.port or 3306, url.database
    return kind, url.host, url.port, Path(url.database or "").resolve()


@contextmanager
def transaction(target: str) -> Iterator[Connection]:
    """One transaction of the database at this URL: all that it does, or nothing if the block raises.

    MySQL commits before and after each change of tables. Raises `UsageError` when the URL or what is done does not fit
    the database, `Forbidden`, and `Unreachable`.
    """
    with _explained(target):
        engine = _engine(target)
        try:
            with _connect(engine, target) as connection, connection.begin():
                yield connection
        finally:
            engine.dispose()


def _parsed(target: str) -> URL:
    try:
        return make_url(target)
    except ValueError:
        raise UsageError(f"{masked(target)} is not the URL of a database: the port must be a number.") from None


def _engine(target: str) -> Engine:
    url = _parsed(target)
    if not url.database or url.database == ":memory:":
        raise UsageError(f"{masked(target)} names no database: put it after the last slash.")
    database = DATABASES[url.get_backend_name()]
    try:
        engine = create_engine(url, **database.options)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise UsageError(
            f"{url.drivername} needs a package that is not here ({error}): pip install '{database.package}'."
        ) from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _connect(engine: Engine, target: str) -> Connection:
    try:
        return engine.connect()
    except TypeError as error:
        raise UsageError(f"{masked(target)} has an option that the driver does not know: {error}.") from None


@contextmanager
def _explained(target: str) -> Iterator[None]:
    try:
        yield
    except SegmenterError:
        raise
    except SQLAlchemyError as error:
        raise _explanation(target, error) from error


def _explanation(target: str, error: SQLAlchemyError) -> SegmenterError:
    cause = getattr(error, "orig", None) or error
    where, reason = f"the database at {masked(target)}", _without_secrets(target, str(cause)).rstrip(". \n")
    if getattr(cause, "sqlstate", None) == _NO_RIGHT or (cause.args and cause.args[0] in REFUSALS):
        return Forbidden(f"{where} does not allow that ({reason}): grant it, or name another user in the URL.")
    if (cause.args and cause.args[0] == _NO_DATABASE) or any(words in reason for words in _CANNOT_OPEN):
        return UsageError(f"{where} cannot be opened ({reason}): name a database that is there, or a file in a folder.")
    if isinstance(error, ProgrammingError | IntegrityError | DataError):
        return UsageError(f"{where} does not take the table ({reason}). What was there before is as it was.")
    return Unreachable(
        f"{where} does not answer as it should ({reason}). Is it running, and is the address right? What was there "
        "before is as it was."
    )


def _without_secrets(target: str, reason: str) -> str:
    """Drivers may quote what they were given."""
    url: URL = make_url(target)
    secrets = [url.password, *[str(value) for name, value in url.query.items() if "pass" in name or "token" in name]]
    for secret in filter(None, secrets):
        reason = reason.replace(secret, "***")
    return reason
