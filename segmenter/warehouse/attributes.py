"""Attributes of users: the catalogue, the view ``users``, and the loading of values, of which the last one wins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, get_args

from sqlalchemy import Connection, inspect, text

from segmenter.errors import UsageError
from segmenter.kinds import Kind
from segmenter.warehouse.dialects import dialect
from segmenter.warehouse.engine import (
    SUMMARY_SECONDS,
    Warehouse,
    alone,
    insert,
    reading,
    replace_view,
    writing,
)
from segmenter.warehouse.templates import statements
from segmenter.warehouse.users_of import users_of

AttributeType = Literal["category", "number", "date"]
ATTRIBUTE_TYPES: tuple[AttributeType, ...] = get_args(AttributeType)

MAX_VALUE = 512
"""The most characters of a value."""

MAX_ATTRIBUTES = 200
"""The most columns of the view ``users``, beside that of the user."""

_COLUMNS = "user_id, attribute, as_of_ms, category, number, day"
_REPLACE = f"REPLACE INTO user_attributes ({_COLUMNS}) SELECT {_COLUMNS} FROM last_values"
"""Of the ways to put a row in the place of the one with its key, the one that all three databases have."""


class Attribute(NamedTuple):
    """What is known of users: a name of a-z, 0-9 and _, the type of its values, and what separates several of them."""

    name: str
    type: AttributeType
    separator: str | None = None

    @property
    def column(self) -> str:
        """The column of ``user_attributes`` that holds its values."""
        return "day" if self.type == "date" else self.type


class ArrivingValue(NamedTuple):
    """A value of a user and when it held, in ms since 1970; a date is YYYY-MM-DD.

    ``line`` is its place in a file that does not say when its values held, else 0.
    """

    user_id: bytes
    attribute: str
    as_of_ms: int
    line: int
    value: str | float


class LoadedValues(NamedTuple):
    """What a file held: how many users, how many of them have no events in the latest snapshot, and what it changed.

    ``without_events`` is None if there is no snapshot.
    """

    users: int
    without_events: int | None
    snapshot_id: int | None
    changed: int


def attributes(warehouse: Warehouse) -> list[Attribute]:
    """The catalogue: all attributes that any user has, by name."""
    with reading(warehouse) as connection:
        return _attributes(connection)


def load_attributes(
    warehouse: Warehouse, mapped: Sequence[Attribute], values: Iterable[Sequence[ArrivingValue]], timed: bool
) -> LoadedValues:
    """Store the values of a file, which come in batches: all of them, or none if an error ends it.

    The last value of a user and attribute wins. In a ``timed`` file, that is the one that held last, and of several
    that held at the same time the greatest, so the order of rows and files does not matter. Otherwise it is the one
    that stands last, and it replaces what another file has brought before; the same value again changes nothing.

    Raises `UsageError` when one of the ``mapped`` attributes is stored under another type, or there are too many.
    """
    with alone(warehouse):
        with writing(warehouse, SUMMARY_SECONDS) as connection:
            _require_fitting(connection, mapped)
            for statement in statements("users_arriving.sql"):
                options = dialect(connection).table_options if statement.startswith("CREATE") else ""
                connection.execute(text(f"{statement} {options}"))
            for batch in values:
                _insert_arriving(connection, mapped, batch)
            for statement in statements("users_last.sql", timed=timed):
                connection.execute(text(statement))
            found = _count(connection, warehouse.kinds)
            connection.execute(text(_REPLACE))
            _add_to_catalogue(connection, mapped)
        with writing(warehouse) as connection:
            _renew_view(connection)
    return found


def _require_fitting(connection: Connection, mapped: Sequence[Attribute]) -> None:
    stored = {attribute.name: attribute for attribute in _attributes(connection)}
    if (many := len(stored.keys() | {attribute.name for attribute in mapped})) > MAX_ATTRIBUTES:
        raise UsageError(
            f"with this mapping users had {many} attributes; allowed are {MAX_ATTRIBUTES}: map fewer, or remove some "
            "that are stored (docs/users.md)."
        )
    for attribute in mapped:
        before = stored.get(attribute.name, attribute)
        if before != attribute:
            raise UsageError(
                f"the attribute {attribute.name!r} is stored as {_kind(before)}, and the mapping says "
                f"{_kind(attribute)}: say the same in the mapping, give it another name there, or remove what is "
                "stored (docs/users.md)."
            )


def _kind(attribute: Attribute) -> str:
    separated = f" with the separator {attribute.separator!r}" if attribute.separator else ""
    return f"{attribute.type}{separated}"


def _insert_arriving(connection: Connection, mapped: Sequence[Attribute], batch: Sequence[ArrivingValue]) -> None:
    """The values in the columns of their types; categories as bytes."""
    columns = ("category", "number", "day")
    at = {attribute.name: columns.index(attribute.column) for attribute in mapped}
    rows = []
    for user, name, as_of_ms, line, value in batch:
        held: list[bytes | str | float | None] = [None] * len(columns)
        held[at[name]] = value.encode() if at[name] == 0 and isinstance(value, str) else value
        rows.append((user, name, as_of_ms, line, *held))
    insert(connection, "arriving_values", ("user_id", "attribute", "as_of_ms", "line", *columns), rows)


def _count(connection: Connection, kinds: tuple[Kind, ...]) -> LoadedValues:
    count = "SELECT COUNT(*) FROM (SELECT DISTINCT user_id FROM arriving_values) arriving"
    users = connection.execute(text(count)).scalar_one()
    changed = connection.execute(text("SELECT COUNT(*) FROM last_values")).scalar_one()
    snapshot_id = connection.execute(text("SELECT MAX(snapshot_id) FROM snapshots")).scalar_one()
    if snapshot_id is None:
        return LoadedValues(users, None, None, changed)
    known = users_of(connection, kinds, snapshot_id)
    query = text(
        f"{count} LEFT JOIN {known} known ON known.snapshot_id = :snapshot_id "
        "AND known.user_id = arriving.user_id WHERE known.user_id IS NULL"
    )
    without = connection.execute(query, {"snapshot_id": snapshot_id}).scalar_one()
    return LoadedValues(users, without, snapshot_id, changed)


def _add_to_catalogue(connection: Connection, mapped: Sequence[Attribute]) -> None:
    """Those that users have now; one without any value may still get another type."""
    used = set(connection.execute(text("SELECT DISTINCT attribute FROM arriving_values")).scalars())
    rows = [tuple(attribute) for attribute in mapped if attribute.name in used]
    insert(connection, "attributes", ("attribute", "type", "list_separator"), rows, unless_there=True)


def _renew_view(connection: Connection) -> None:
    """Give the view ``users`` the columns of the catalogue, if it has others."""
    known = _attributes(connection)
    there = inspect(connection).has_table("users")
    columns = list(connection.execute(text("SELECT * FROM users LIMIT 0")).keys()) if there else []
    if known and columns != ["user_id", *[attribute.name for attribute in known]]:
        (query,) = statements("users.sql", attributes=known, some=False)
        replace_view(connection, "users", query)


def _attributes(connection: Connection) -> list[Attribute]:
    query = "SELECT attribute, type, list_separator FROM attributes ORDER BY attribute"
    return [Attribute(*row) for row in connection.execute(text(query))]
