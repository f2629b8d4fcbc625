"""What people want to be done with the users of a segment, by its slug."""

from __future__ import annotations

from sqlalchemy import text

from segmenter.warehouse.engine import Warehouse, reading, writing

MAX_ACTION = 2_000
"""The most characters of an action."""


def read_actions(warehouse: Warehouse) -> dict[str, str]:
    """The actions that are stored, by slug."""
    with reading(warehouse) as connection:
        found = connection.execute(text("SELECT slug, action FROM segment_actions"))
        return {row.slug: row.action for row in found}


def set_action(warehouse: Warehouse, slug: str, action: str) -> None:
    """Store what to do with a segment, in place of what was stored; an empty text removes it."""
    with writing(warehouse) as connection:
        if action:
            statement = "REPLACE INTO segment_actions (slug, action) VALUES (:slug, :action)"
            connection.execute(text(statement), {"slug": slug, "action": action})
        else:
            connection.execute(text("DELETE FROM segment_actions WHERE slug = :slug"), {"slug": slug})
