"""Files of Parquet and CSV on any filesystem of fsspec: each is there as a whole, or not at all.

The libraries come with the extra ``parquet``, and are imported when something is written.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args
from uuid import uuid4

from segmenter.errors import Forbidden, SegmenterError, Unreachable, UsageError
from segmenter.settings.urls import masked
from segmenter.warehouse.exports import ColumnType

if TYPE_CHECKING:
    import pandas as pd

Format = Literal["parquet", "csv"]
FORMATS: tuple[Format, ...] = get_args(Format)

MARKED = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
"""How text begins that a spreadsheet may take for a formula; and an apostrophe, which marks such text."""


ALLOWED = (
    "Name a folder, a file that ends in .parquet or .csv, a URL of fsspec such as s3://bucket/path, or the URL of a "
    "PostgreSQL, DuckDB, MySQL, MariaDB or SQLite database."
)
"""What a target may be."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Written(NamedTuple):
    """How many users were written to a file, and how many bytes it has."""

    rows: int
    size: int


def write_file(
    file: str, format_: Format, columns: Mapping[str, ColumnType], frames: Iterable[pd.DataFrame], *, verbatim: bool
) -> Written:
    """Write a file of these columns, in place of the one of its name if there is one.

    It has another name beside that one until it is complete. In CSV, text goes through `unlike_a_formula` unless
    ``verbatim``. Raises `UsageError` and `Forbidden` when the file cannot be written, and `Unreachable` when that may
    pass.
    """
    try:
        import pyarrow
        from fsspec.core import url_to_fs
        from fsspec.implementations.local import LocalFileSystem
    except ModuleNotFoundError as error:
        raise UsageError(f"files need {error.name}, which is not here: pip install 'segmenter[parquet]'.") from None
    schema = pyarrow.schema([(name, _types()[type_]) for name, type_ in columns.items()])
    texts = [name for name, type_ in columns.items() if type_ == "text" and format_ == "csv" and not verbatim]
    plain = (frame.assign(**{name: frame[name].map(unlike_a_formula) for name in texts}) for frame in frames)
    tables = (pyarrow.Table.from_pandas(frame, schema, preserve_index=False) for frame in plain)
    with _explained(file):
        filesystem, path = url_to_fs(file)
    folder, _, name = path.rpartition("/")
    part = f"{folder}/.{name}.{uuid4().hex[:8]}.part"
    try:
        written = _write(filesystem, part, file, _writers()[format_], schema, tables)
        with _explained(file):
            move = _replace if isinstance(filesystem, LocalFileSystem) else filesystem.mv
            move(part, path)
    except BaseException:
        with suppress(Exception):
            filesystem.rm_file(part)
        raise
    return written


def unlike_a_formula(text: str) -> str:
    """Text with an apostrophe before what begins like a formula, or with an apostrophe, so that it can be taken off.

    >>> print(unlike_a_formula("=1+1"), unlike_a_formula("u42"), unlike_a_formula("'tis"))
    '=1+1 u42 ''tis
    """
    return f"'{text}" if text.startswith(MARKED) else text


def _types() -> dict[ColumnType, Any]:
    import pyarrow

    return {
        "text": pyarrow.string(),
        "integer": pyarrow.int64(),
        "number": pyarrow.float64(),
        "time": pyarrow.timestamp("ms", "UTC"),
    }


def _writers() -> dict[Format, Any]:
    from pyarrow.csv import CSVWriter
    from pyarrow.parquet import ParquetWriter

    return {"parquet": ParquetWriter, "csv": CSVWriter}


def _write(filesystem: Any, part: str, file: str, writer_of: Any, schema: Any, tables: Iterable[Any]) -> Written:
    """What goes wrong in ``tables`` is not the file's fault, and stays as it is."""
    rows = 0
    with _explained(file):
        opened = _open(filesystem, part)
    try:
        with _explained(file):
            writer = writer_of(opened, schema)
        try:
            for table in tables:
                with _explained(file):
                    writer.write_table(table)
                rows += table.num_rows
        finally:
            with _explained(file):
                writer.close()
        size = opened.tell()
    finally:
        with _explained(file):
            opened.close()
    return Written(rows, size)


def _open(filesystem: Any, part: str) -> Any:
    try:
        return filesystem.open(part, "wb")
    except FileNotFoundError:
        filesystem.makedirs(part.rpartition("/")[0], exist_ok=True)
        return filesystem.open(part, "wb")


def _replace(part: str, path: str) -> None:
    """On the disk before it has its name, so that there is no empty file under that after a power cut."""
    with Path(part).open("rb+") as written:
        os.fsync(written.fileno())
    Path(part).replace(path)


@contextmanager
def _explained(file: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whatever the driver of a filesystem may raise
        raise _explanation(masked(file), error) from error


def _explanation(file: str, error: Exception) -> SegmenterError:
    reason = ((isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__).rstrip(". \n")
    if isinstance(error, ImportError):
        return UsageError(f"{file} needs a package that is not here: {reason}.")
    if isinstance(error, ValueError) and reason.startswith("Protocol not known"):
        return UsageError(f"{file} cannot be written: {reason}. {ALLOWED}")
    if isinstance(error, PermissionError):
        return Forbidden(f"{file} cannot be written: {reason}. Name a place in which you may write.")
    if isinstance(error, OSError) and not isinstance(error, ConnectionError | TimeoutError):
        return UsageError(f"{file} cannot be written: {reason}. {_advice(error)}")
    return Unreachable(f"{file} cannot be written ({reason}): try again when its filesystem answers.")


def _advice(error: OSError) -> str:
    if error.errno in _NO_ROOM:
        return "Name another place, or make room in this one."
    if isinstance(error, FileNotFoundError):
        return "Its folder or bucket is not there and cannot be made, or has gone meanwhile: name another place."
    return "Name another place."
