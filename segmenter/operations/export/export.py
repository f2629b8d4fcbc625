"""Exporting a snapshot: to a file, or into a table of another database."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from segmenter import warehouse
from segmenter.errors import UsageError
from segmenter.operations.export.files import ALLOWED, FORMATS, Format, write_file
from segmenter.operations.export.users import columns, frames, taken_at
from segmenter.operations.progress import Progress, silent
from segmenter.settings import Settings
from segmenter.settings.urls import masked
from segmenter.warehouse import Snapshot
from segmenter.warehouse.exports import TABLE, ColumnType, is_same, replace_table

if TYPE_CHECKING:
    import pandas as pd

USERS_OF_A_GROUP = 50_000
"""So many users are in a row group of Parquet, and in memory at once."""

USERS_OF_AN_INSERT = 5_000


class Exported(NamedTuple):
    """What was exported, and where to."""

    target: str
    """The file with its folder, or the database; a password is masked."""
    table: str | None
    format: str
    """``parquet``, ``csv`` or ``table``."""
    snapshot_id: int
    rows: int
    left_out: int
    """Users whose ids PostgreSQL cannot hold; 0 elsewhere."""
    bytes: int | None
    """The size of the file."""
    seconds: float


class Source(NamedTuple):
    """A snapshot as it is exported."""

    snapshot: Snapshot
    columns: dict[str, ColumnType]
    users: Iterable[pd.DataFrame]


def export_to_file(
    settings: Settings,
    target: str,
    snapshot_id: int | None = None,
    format_: Format | None = None,
    *,
    verbatim: bool = False,
    progress: Progress = silent,
) -> Exported:
    """Export a snapshot, by default the latest, to a file that ends in ``.parquet`` or ``.csv``, or below a folder.

    There it is ``date=YYYY-MM-DD/snapshot-N.parquet`` or ``.csv``, by the date of the snapshot in UTC. ``format_`` is
    for folders, by default ``parquet``; ``verbatim`` is for CSV. Raises what `write_file` does, `UsageError` when
    these do not fit together, and `NothingYet` when there is no snapshot.
    """
    began = time.monotonic()
    if not target.strip():
        raise UsageError(f"the target is empty. {ALLOWED}")
    ending = next((each for each in FORMATS if target.endswith(f".{each}")), None)
    if ending and format_ not in (None, ending):
        raise UsageError(f"{masked(target)} ends in .{ending}, but the format is {format_}: leave one of them out.")
    chosen = ending or format_ or "parquet"
    if verbatim and chosen != "csv":
        raise UsageError("--verbatim is for CSV: other files hold all text as it is.")
    with _source(settings, snapshot_id, USERS_OF_A_GROUP, progress) as (snapshot, wanted, users):
        below = f"date={taken_at(snapshot):%Y-%m-%d}/snapshot-{snapshot.snapshot_id}.{chosen}"
        file = target if ending else f"{target.rstrip('/')}/{below}"
        rows, size = write_file(file, chosen, wanted, users, verbatim=verbatim)
    seconds = round(time.monotonic() - began, 3)
    return Exported(masked(file), None, chosen, snapshot.snapshot_id, rows, 0, size, seconds)


def export_to_table(
    settings: Settings, target: str, snapshot_id: int | None = None, table: str = TABLE, progress: Progress = silent
) -> Exported:
    """Export a snapshot, by default the latest, into a table of the database at a URL, in place of what that held.

    Raises what `replace_table` does, `UsageError` when that is the warehouse itself, and `NothingYet` when there is no
    snapshot.
    """
    began = time.monotonic()
    if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]{0,49}", table):
        raise UsageError(f"the table may not be called {table!r}: up to 50 of A-Z a-z 0-9 _, the first not a digit.")
    if is_same(target, settings.warehouse_url):
        raise UsageError(f"{masked(target)} is the warehouse itself, which holds its own tables only: name another.")
    with _source(settings, snapshot_id, USERS_OF_AN_INSERT, progress) as (snapshot, wanted, users):
        rows, left_out = replace_table(target, table, wanted, users)
    seconds = round(time.monotonic() - began, 3)
    return Exported(masked(target), table, "table", snapshot.snapshot_id, rows, left_out, None, seconds)


@contextmanager
def _source(settings: Settings, snapshot_id: int | None, size: int, progress: Progress) -> Iterator[Source]:
    with warehouse.connect(settings) as database:
        warehouse.require_schema(database)
        snapshot = warehouse.find_snapshot(database, snapshot_id)
        with (
            progress("exporting", snapshot.users) as advance,
            closing(frames(database, snapshot, size)) as found,
        ):
            yield Source(snapshot, columns(database.kinds), _counted(found, advance))


def _counted(found: Iterable[pd.DataFrame], advance: Callable[[int], None]) -> Iterator[pd.DataFrame]:
    for frame in found:
        yield frame
        advance(len(frame))
