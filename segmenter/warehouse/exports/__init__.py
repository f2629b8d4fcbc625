"""Tables in other databases, each a copy of one snapshot's users."""

from __future__ import annotations

from segmenter.warehouse.exports.databases import is_database, is_same
from segmenter.warehouse.exports.user_table import TABLE, ColumnType, Copied, replace_table

__all__ = ["TABLE", "ColumnType", "Copied", "is_database", "is_same", "replace_table"]
