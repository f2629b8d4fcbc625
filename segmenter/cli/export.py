"""`segmenter export`: a snapshot as Parquet, as CSV, or as a table of another database."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from segmenter.cli import common
from segmenter.errors import UsageError


def export(
    target: str,
    /,
    *,
    snapshot: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    format_: Annotated[Literal["parquet", "csv"] | None, Parameter(name="--format")] = None,
    verbatim: bool = False,
    table: str | None = None,
    json: common.Json = False,
) -> None:
    """Export the users of a snapshot with their segments and numbers: to a file, or into a table of another database.

    Nothing has its name before it is complete, and exporting again replaces it. Columns and targets: docs/export.md.

    Parameters
    ----------
    target
        A folder, a file that ends in .parquet or .csv, or a URL of either, such as s3://bucket/path; or the URL of a
        PostgreSQL, DuckDB, MySQL, MariaDB or SQLite database. In a folder, the file is
        date=2026-11-27/snapshot-12.parquet.
    snapshot
        The number of the snapshot; by default the latest.
    format_
        Of the file in a folder; by default parquet.
    verbatim
        In CSV, do not put an apostrophe before text that a spreadsheet may take for a formula.
    table
        The table in the database; by default user_segments.
    """
    from segmenter.operations import export as exporting
    from segmenter.warehouse.exports import TABLE, is_database

    if not is_database(target):
        if table:
            raise UsageError("--table is for databases: leave it out, or name the URL of one.")
        settings = common.settings("warehouse_url")
        exported = exporting.export_to_file(
            settings, target, snapshot, format_, verbatim=verbatim, progress=common.progress
        )
    else:
        if format_ or verbatim:
            raise UsageError("--format and --verbatim are for files: leave them out, or name a file or folder.")
        settings = common.settings("warehouse_url")
        exported = exporting.export_to_table(settings, target, snapshot, table or TABLE, common.progress)
    common.emit(exported._asdict(), json, _show)


def _show(report: dict[str, Any]) -> None:
    place = f"the table {report['table']} at {report['target']}" if report["table"] else report["target"]
    size = "" if report["bytes"] is None else f", {report['bytes']:,} bytes"
    common.console.print(
        f"snapshot {report['snapshot_id']}: {report['rows']:,} users in {place}{size}, in {report['seconds']:.1f} s",
        markup=False,
        soft_wrap=True,
    )
    if report["left_out"]:
        common.console.print(
            f"{report['left_out']:,} users are left out: PostgreSQL cannot hold their ids, which contain a NUL"
        )
