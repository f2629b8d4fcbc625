"""The schema, from the numbered files in ``sql/``.

MySQL commits each CREATE TABLE by itself, so a file may stop half-way. Every statement in it may
therefore be run twice, and a file is recorded as applied after its last one.
"""

from __future__ import annotations

from importlib.resources import files

from sqlalchemy import Connection, inspect, text

from segmenter.errors import UsageError
from segmenter.warehouse.engine import SUMMARY_SECONDS, Warehouse, dialect, insert, reading, writing

_RECORD = (
    "CREATE TABLE IF NOT EXISTS migrations (name VARCHAR(190) NOT NULL, applied_ms BIGINT NOT NULL, PRIMARY KEY (name))"
)


def names() -> list[str]:
    """The numbered files, in order."""
    return sorted(entry.name for entry in files("sql").iterdir() if entry.name[:3].isdigit())


def statements(name: str) -> list[str]:
    """The statements of a file in ``sql/``, without comments."""
    lines = files("sql").joinpath(name).read_text(encoding="utf-8").splitlines()
    code = "\n".join(line.partition("--")[0].rstrip() for line in lines)
    return [statement.strip() for statement in code.split(";") if statement.strip()]


def applied(warehouse: Warehouse) -> list[str]:
    """The files that this warehouse has recorded. Changes nothing."""
    with reading(warehouse) as connection:
        return _applied(connection)


def pending(warehouse: Warehouse) -> list[str]:
    """The files that `migrate` would apply. Changes nothing."""
    done = applied(warehouse)
    return [name for name in names() if name not in done]


def migrate(warehouse: Warehouse, now_ms: int) -> list[str]:
    """Apply the pending files, each recorded with the time ``now_ms``, and return their names."""
    todo = pending(warehouse)
    for name in todo:
        with writing(warehouse, SUMMARY_SECONDS) as connection:
            for statement in (_RECORD, *statements(name)):
                options = dialect(connection).table_options if statement.startswith("CREATE TABLE") else ""
                connection.execute(text(f"{statement} {options}"))
            insert(connection, "migrations", ("name", "applied_ms"), [(name, now_ms)], unless_there=True)
    return todo


def require_schema(warehouse: Warehouse) -> None:
    """Raise `UsageError` unless every file has been applied."""
    missing = pending(warehouse)
    if missing == names():
        raise UsageError("the warehouse is empty: run `segmenter sink --once`, then `segmenter snapshot`.")
    if missing:
        raise UsageError(f"the warehouse lacks {', '.join(missing)}: run `segmenter migrate`.")


def _applied(connection: Connection) -> list[str]:
    if not inspect(connection).has_table("migrations"):
        return []
    return list(connection.execute(text("SELECT name FROM migrations ORDER BY name")).scalars())
