"""The batch summary as analysts read it: ``user_activity_summary``."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import text

from segmenter.warehouse.engine import Warehouse, reading
from segmenter.warehouse.summary.refresh import require_whole


def read_activity(warehouse: Warehouse, user: bytes) -> dict[str, Any] | None:
    """The row of one user by column, without the id; numbers, texts and None only. None if there is no row.

    Raises `Fenced` while the summary is being emptied.
    """
    with reading(warehouse) as connection:
        require_whole(connection)
        query = text("SELECT * FROM user_activity_summary WHERE user_id = :user")
        found = connection.execute(query, {"user": user}).mappings().one_or_none()
    return None if found is None else {name: _plain(value) for name, value in found.items() if name != "user_id"}


def _plain(value: Any) -> int | float | str | None:
    if isinstance(value, Decimal):
        return float(value)
    return value if value is None or isinstance(value, int | float) else str(value)
