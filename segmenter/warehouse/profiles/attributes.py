"""The attributes of the users of each label."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from segmenter.warehouse.attributes import Attribute
from segmenter.warehouse.dialects import dialect
from segmenter.warehouse.engine import Warehouse, reading
from segmenter.warehouse.profiles.groups import COUNTED, MOST_VALUES, Groups, read_table

if TYPE_CHECKING:
    import pandas as pd


def read_known(warehouse: Warehouse, groups: Groups, attribute: Attribute) -> pd.DataFrame:
    """How many users of each label have the attribute: ``label``, ``users``."""
    types = {"label": "str", "users": "int64"}
    return read_table(warehouse, groups, "profile_attributes.sql", types, {"attribute": attribute.name}, column=None)


def read_attribute(warehouse: Warehouse, groups: Groups, attribute: Attribute) -> pd.DataFrame:
    """The values of an attribute: ``label``, ``key``, ``value``, and how many ``users`` have it.

    Of a category, these are the most common ones; of one that lists several, all, each counted once a user. The values
    of a number or a date are all there.
    """
    bound = {"attribute": attribute.name}
    if attribute.type == "category" and not attribute.separator:
        with reading(warehouse) as connection:
            digest = dialect(connection).digest
        bound_too = bound | {"most": MOST_VALUES}
        return read_table(warehouse, groups, "profile_categories.sql", COUNTED, bound_too, digest=digest)
    of_number = attribute.type == "number"
    types = {"label": "str", "value": "float64" if of_number else "object", "users": "int64"}
    found = read_table(warehouse, groups, "profile_attributes.sql", types, bound, column=attribute.column)
    if attribute.separator:
        found = _split(found, attribute.separator)
    found.insert(1, "key", found["value"])
    return found


def _split(lists: pd.DataFrame, separator: str) -> pd.DataFrame:
    import pandas as pd

    users: Counter[tuple[str, str]] = Counter()
    for label, value, count in lists.itertuples(index=False):
        for each in {part.strip() for part in value.split(separator)} - {""}:
            users[label, each] += count
    rows = [(*which, count) for which, count in users.items()]
    return pd.DataFrame(rows, columns=list(lists.columns)).astype(dict(lists.dtypes))
