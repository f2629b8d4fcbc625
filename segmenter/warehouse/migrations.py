"""The schema, from the numbered files in ``sql/``. The one for a kind of event is applied once for each kind.

MySQL commits each change of a table by itself, so a file may stop half-way. Whatever was done of it may therefore be
done again, and a file is recorded as applied after its last statement.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any, NamedTuple

from sqlalchemy import Connection, inspect, text

from segmenter.errors import UsageError
from segmenter.kinds import DEFAULT, Kind, checked
from segmenter.warehouse.dialects import dialect
from segmenter.warehouse.engine import SUMMARY_SECONDS, Warehouse, alone, insert, reading, writing
from segmenter.warehouse.raw_events import stored_kinds
from segmenter.warehouse.templates import statements

_RECORD = (
    "CREATE TABLE IF NOT EXISTS migrations (name VARCHAR(190) NOT NULL, applied_ms BIGINT NOT NULL, PRIMARY KEY (name))"
)
_FOR_EACH_KIND = "_kind.sql"


class _Migration(NamedTuple):
    file: str
    kind: Kind | None
    """None: it does not depend on a kind."""

    @property
    def name(self) -> str:
        kind = self.kind
        return f"{self.file} {kind.name} ({kind.plural}, {kind.measure})" if kind else self.file


def _migrations(kinds: tuple[Kind, ...]) -> list[_Migration]:
    """All, in order."""
    names = sorted(entry.name for entry in files("sql").iterdir() if entry.name[:3].isdigit())
    of_file = {name: kinds if name.endswith(_FOR_EACH_KIND) else (None,) for name in names}
    return [_Migration(name, kind) for name in names for kind in of_file[name]]


def applied(warehouse: Warehouse) -> list[str]:
    """The names of the migrations that this warehouse has recorded. Changes nothing."""
    with reading(warehouse) as connection:
        return _applied(connection)


def pending(warehouse: Warehouse) -> list[str]:
    """The names of those that `migrate` would apply. Changes nothing."""
    return [migration.name for migration in _pending(warehouse)]


def to_come(warehouse: Warehouse, now_ms: int) -> list[str]:
    """The statements that `migrate` would execute. Changes nothing."""
    found = []
    with reading(warehouse) as connection:
        for migration in _pending(warehouse):
            found += _statements(connection, migration, warehouse.kinds)
            found.append(f"INSERT INTO migrations (name, applied_ms) VALUES ('{migration.name}', {now_ms})")
    return [_RECORD, *found] if found else []


def migrate(warehouse: Warehouse, now_ms: int) -> list[str]:
    """Apply the pending migrations, each recorded with the time ``now_ms``, and return their names."""
    if not _pending(warehouse):
        return []
    with alone(warehouse):
        todo = _pending(warehouse)
        for migration in todo:
            with writing(warehouse, SUMMARY_SECONDS) as connection:
                for statement in (_RECORD, *_statements(connection, migration, warehouse.kinds)):
                    connection.execute(text(statement))
                insert(connection, "migrations", ("name", "applied_ms"), [(migration.name, now_ms)], unless_there=True)
    return [migration.name for migration in todo]


def require_schema(warehouse: Warehouse) -> None:
    """Raise `UsageError` unless all have been applied."""
    missing = pending(warehouse)
    if missing == [migration.name for migration in _migrations(warehouse.kinds)]:
        raise UsageError("the warehouse is empty: run `segmenter sink --once`, then `segmenter snapshot`.")
    if missing:
        raise UsageError(f"the warehouse lacks {', '.join(missing)}: run `segmenter migrate`.")


def _pending(warehouse: Warehouse) -> list[_Migration]:
    done = applied(warehouse)
    return [migration for migration in _migrations(warehouse.kinds) if migration.name not in done]


def _statements(connection: Connection, migration: _Migration, kinds: tuple[Kind, ...]) -> list[str]:
    """What is left to do of a migration, as the schema is now."""
    schema = inspect(connection)
    tables = schema.get_table_names()

    def columns(table: str) -> set[str]:
        return {column["name"] for column in schema.get_columns(table)} if table in tables else set()

    def indexes(table: str) -> set[str | None]:
        return {index["name"] for index in schema.get_indexes(table)} if table in tables else set()

    context: dict[str, Any] = {
        "topics_of_0_1_0": [kind.topic for kind in DEFAULT if f"raw_{kind.topic}" in tables],
        "snapshot_columns": columns("snapshots"),
        "change_indexes": indexes("segment_changes"),
        "utc": dialect(connection).utc,
        "new_view": dialect(connection).new_view,
    }
    if kind := migration.kind:
        context |= {
            "kind": kind,
            "columns": columns("snapshot_users"),
            "raw_columns": columns(f"raw_{kind.topic}"),
            "summary_columns": columns("user_summary"),
            "kinds": _with_stored(connection, kinds, columns("user_summary")),
            "now_ms": dialect(connection).now_ms,
        }
    options = dialect(connection).table_options
    found = statements(migration.file, **context)
    return [f"{each} {options}".strip() if each.startswith("CREATE TABLE") else each for each in found]


def _with_stored(connection: Connection, kinds: tuple[Kind, ...], there: set[str]) -> tuple[Kind, ...]:
    """These kinds, and those that others have added, whose columns must not go missing."""
    if not there:
        return kinds
    own = {kind.name for kind in kinds}
    others = [kind for kind in stored_kinds(connection) if kind.name not in own and kind.plural in there]
    return checked([*kinds, *others])


def _applied(connection: Connection) -> list[str]:
    if not inspect(connection).has_table("migrations"):
        return []
    return list(connection.execute(text("SELECT name FROM migrations ORDER BY name")).scalars())
