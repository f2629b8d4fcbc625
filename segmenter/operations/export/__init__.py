"""Exports of a snapshot: files of Parquet or CSV wherever fsspec can write, and tables in other databases."""

from __future__ import annotations

from segmenter.operations.export.export import Exported, export_to_file, export_to_table

__all__ = ["Exported", "export_to_file", "export_to_table"]
