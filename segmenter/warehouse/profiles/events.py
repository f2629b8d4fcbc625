"""What the raw events of each label say, up to where the snapshot goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from segmenter.kinds import Kind
from segmenter.warehouse.dialects import dialect
from segmenter.warehouse.engine import Warehouse, reading
from segmenter.warehouse.profiles.groups import COUNTED, MOST_VALUES, Groups, read_table

if TYPE_CHECKING:
    import pandas as pd

EVENT_FIELDS = {"device": "device", "page": "url", "item": "item_id", "query": "query"}
"""What is counted of the events, and the columns of the raw tables that hold it."""


def read_quarters(warehouse: Warehouse, groups: Groups) -> pd.DataFrame:
    """``label``, ``quarter_ms`` (the beginning of a quarter of an hour, in ms since 1970) and its number of ``events``.

    Events are counted as they stand in the log, with the few that repeat an id.
    """
    types = {"label": "str", "quarter_ms": "int64", "events": "int64"}
    return read_table(warehouse, groups, "profile_quarters.sql", types, kinds=warehouse.kinds)


def read_values(warehouse: Warehouse, groups: Groups, column: str) -> pd.DataFrame:
    """The most common values of a column of the raw tables: ``label``, ``key``, ``value``, ``users``."""
    return _values(warehouse, groups, warehouse.kinds, f"e.{column}")


def read_properties(warehouse: Warehouse, groups: Groups, name: str, kinds: Sequence[Kind]) -> pd.DataFrame:
    """The same of a property, as far as its values are texts, in the events of these kinds.

    The name is one of `property_names`: it gets into the SQL.
    """
    with reading(warehouse) as connection:
        value = dialect(connection).property.format(column="e.properties", name=name)
    return _values(warehouse, groups, kinds, value)


def _values(warehouse: Warehouse, groups: Groups, kinds: Sequence[Kind], value: str) -> pd.DataFrame:
    with reading(warehouse) as connection:
        digest = dialect(connection).digest
    context = {"kinds": kinds, "value": value, "digest": digest}
    found = read_table(warehouse, groups, "profile_values.sql", COUNTED, {"most": MOST_VALUES}, **context)
    found["value"] = [_text(value) for value in found["value"]]
    return found


def read_amounts(warehouse: Warehouse, groups: Groups, kind: Kind, duplicate_window: int) -> pd.DataFrame:
    """The amounts of a kind, in minor units, by ``label``: ``buyers``, who have at least one that is not a refund;
    how many ``payments`` they made, and what these come to (``paid``); ``refunds`` and what these come to
    (``refunded``, above 0). Duplicates do not count.
    """
    names = ("buyers", "payments", "paid", "refunds", "refunded")
    types = {"label": "str"} | dict.fromkeys(names, "int64")
    bound = {"duplicate_window": duplicate_window}
    return read_table(warehouse, groups, "profile_amounts.sql", types, bound, kind=kind)


def _text(value: bytes | str) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value
