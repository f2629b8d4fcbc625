"""The attributes of users read back: of one user, or of all as tables of pandas."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import inspect, text

from segmenter.warehouse.attributes import AttributeType, attributes
from segmenter.warehouse.engine import SUMMARY_SECONDS, Warehouse, reading
from segmenter.warehouse.templates import statements

if TYPE_CHECKING:
    import pandas as pd


class AttributeValue(NamedTuple):
    """An attribute of a user: a text, a number, or a date as YYYY-MM-DD; and since when it is known to hold."""

    attribute: str
    type: AttributeType
    value: str | float
    as_of_ms: int


def attributes_of(warehouse: Warehouse, user: bytes) -> list[AttributeValue]:
    """All attributes of a user, by name; none of a user of whom nothing is known."""
    query = """
        SELECT v.attribute, a.type, v.category, v.number, v.day, v.as_of_ms
        FROM user_attributes v JOIN attributes a ON a.attribute = v.attribute
        WHERE v.user_id = :user_id ORDER BY v.attribute
    """
    with reading(warehouse) as connection:
        if not inspect(connection).has_table("user_attributes"):
            return []
        found = connection.execute(text(query), {"user_id": user}).all()
    values = [(row, {"category": row.category, "number": row.number, "date": row.day}[row.type]) for row in found]
    return [AttributeValue(row.attribute, row.type, value, row.as_of_ms) for row, value in values]


def read_attributes(warehouse: Warehouse, users_at_a_time: int = 5_000) -> Iterator[pd.DataFrame]:
    """The attributes of all users in tables of so many users, by the bytes of their ids.

    Each row is a user, named by the id as bytes, each column an attribute: of a category text, of a number float64,
    of a date datetime64. What is not known is missing. A category that lists several is one text, with the separator
    that `attributes` tells.
    """
    import pandas as pd  # here, since loading does not need it

    known = attributes(warehouse)
    (query,) = statements("users.sql", attributes=known, some=True)
    to_come = "SELECT DISTINCT user_id FROM user_attributes WHERE user_id > :after ORDER BY user_id LIMIT :users"
    types = {"category": "str", "number": "float64", "date": "datetime64[s]"}
    after = b""
    while True:
        with reading(warehouse, SUMMARY_SECONDS) as connection:
            ids = connection.execute(text(to_come), {"after": after, "users": users_at_a_time}).scalars().all()
            if not ids:
                return
            found = connection.execute(text(query), {"after": after, "last": ids[-1]}).all()
        rows = sorted([(bytes(user), *values) for user, *values in found], key=itemgetter(0))
        columns = ["user_id", *[attribute.name for attribute in known]]
        table = pd.DataFrame.from_records(rows, columns=columns, index="user_id")
        yield table.astype({attribute.name: types[attribute.type] for attribute in known})
        after = bytes(ids[-1])
