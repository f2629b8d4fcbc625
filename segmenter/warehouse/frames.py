"""A snapshot as a table for people and plots: pandas is imported here, so the rest of the warehouse goes without."""

from __future__ import annotations

import pandas as pd
from sqlalchemy import text

from segmenter.warehouse.engine import Warehouse, reading
from segmenter.warehouse.snapshots import USER_COLUMNS


def read_users(warehouse: Warehouse, snapshot_id: int) -> pd.DataFrame:
    """The users of a snapshot, one row each, with the columns `USER_COLUMNS`; a mean that is missing is NaN."""
    query = f"SELECT {', '.join(USER_COLUMNS)} FROM snapshot_users WHERE snapshot_id = :snapshot_id ORDER BY user_id"
    with reading(warehouse) as connection:
        found = connection.execute(text(query), {"snapshot_id": snapshot_id}).all()
    users = pd.DataFrame.from_records([tuple(row) for row in found], columns=list(USER_COLUMNS))
    return users.astype({"mean_click_ms": "float64", "mean_view_ms": "float64"})
