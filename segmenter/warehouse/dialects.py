"""All in which SQLite and MySQL (or MariaDB) differ."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from sqlalchemy import Connection

ANSWER_SECONDS = 10
"""How long a server may take to answer, before it counts as unreachable, by default."""

IDLE_SECONDS = 30
"""After so long without a statement from us, the server ends a transaction, and releases its locks."""


class Dialect(NamedTuple):
    """What is particular to a database, as pieces of SQL, and the options of its connections."""

    table_options: str
    mark: str
    """What stands for a parameter."""
    unless_there: str
    """What ends an INSERT that leaves rows as they are whose keys are there already."""
    same: str
    """Whether two values are the same, or both are missing."""
    now_ms: str
    utc: str
    """A number of milliseconds since 1970 as a date and time of UTC."""
    digest: str
    """The first 16 bytes of the SHA-256 of a text, of bytes or of a number as text."""
    property: str
    """A property of a column of JSON objects, if it is a text; else NULL."""
    new_view: tuple[str, ...]
    options: Mapping[str, Any]


SQLITE = Dialect(
    table_options="",
    mark="?",
    unless_there="ON CONFLICT DO NOTHING",
    same="{} IS {}",
    now_ms="CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
    utc="DATETIME({} / 1000, 'unixepoch')",
    digest="digest({})",
    property="CASE WHEN JSON_TYPE({column}, '$.\"{name}\"') = 'text' THEN JSON_EXTRACT({column}, '$.\"{name}\"') END",
    new_view=("DROP VIEW IF EXISTS {name}", "CREATE VIEW {name} AS {query}"),
    options={"connect_args": {"timeout": 60, "isolation_level": None}},
)
MYSQL = Dialect(
    table_options="ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC",
    mark="%s",
    unless_there="ON DUPLICATE KEY UPDATE {first} = {first}",
    same="{} <=> {}",
    now_ms="CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)",
    utc="CAST(DATE_ADD('1970-01-01', INTERVAL FLOOR({} / 1000) SECOND) AS DATETIME)",
    digest="LEFT(UNHEX(SHA2({}, 256)), 16)",
    property=(
        "CASE WHEN JSON_TYPE(JSON_EXTRACT({column}, '$.\"{name}\"')) = 'STRING' "
        "THEN JSON_VALUE({column}, '$.\"{name}\"') END"
    ),
    new_view=("CREATE OR REPLACE SQL SECURITY INVOKER VIEW {name} AS {query}",),
    options={
        "connect_args": {
            "charset": "utf8mb4",
            "sql_mode": "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION",
            "init_command": f"SET SESSION wait_timeout = {IDLE_SECONDS}, time_zone = '+00:00'",
            "connect_timeout": ANSWER_SECONDS,
            "read_timeout": ANSWER_SECONDS,
            "write_timeout": ANSWER_SECONDS,
        },
        "isolation_level": "REPEATABLE READ",
        "pool_pre_ping": True,
    },
)
DIALECTS = {"sqlite": SQLITE, "mysql": MYSQL, "mariadb": MYSQL}


def dialect(connection: Connection) -> Dialect:
    """What is particular to the database behind ``connection``."""
    return DIALECTS[connection.dialect.name]


def digest(value: bytes | str | int) -> bytes:
    """The first 16 bytes of the SHA-256; SQLite has no such function of its own."""
    return sha256(value if isinstance(value, bytes) else str(value).encode()).digest()[:16]
