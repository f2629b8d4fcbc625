"""Reading recorded files: every cell is the text in the file, never a number.

A row is its number, counted from 1, and the cells of the wanted columns; an empty string is an absent cell.
Files are streamed. A row that is malformed is a `Refused`, and reading goes on.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from producers.messages import Refused
from producers.recorded.mapping import Layout
from segmenter.errors import UsageError

Row = tuple[int, tuple[str, ...]]

HEAD = 1_000
"""How many lines of a JSON Lines file are read to learn its columns."""

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)


def columns(file: Path, mapping: Layout) -> list[str]:
    """The names of the file's columns; of JSON Lines, those of its first `HEAD` lines."""
    with _opened(file, mapping) as opened:
        return _COLUMNS[mapping.format](opened, mapping)


def rows(file: Path, mapping: Layout, wanted: list[str]) -> Iterator[Row | Refused]:
    """Each row of the file with the cells of the ``wanted`` columns, in that order.

    Raises `UsageError` when the file cannot be read.
    """
    with _opened(file, mapping) as opened:
        yield from _ROWS[mapping.format](opened, mapping, wanted)


@contextmanager
def _opened(file: Path, mapping: Layout) -> Iterator[IO[Any]]:
    try:
        with _bytes(file) as raw:
            yield raw if mapping.format == "parquet" else _decoded(raw, mapping.encoding)
    except (OSError, EOFError, ValueError, csv.Error, zlib.error) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error).splitlines()[0]
        raise UsageError(f"cannot read {file} as {mapping.format}: {str(reason).rstrip('.')}.") from None


def _bytes(file: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(file)) if file.suffix == ".gz" else file.open("rb")


def _decoded(raw: IO[bytes], encoding: str) -> IO[str]:
    """Text without a byte order mark; a byte that does not fit the encoding affects only its own cell."""
    with_mark = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    return io.TextIOWrapper(raw, with_mark, errors="surrogateescape", newline="")


def _csv_columns(opened: IO[str], mapping: Layout) -> list[str]:
    return next(csv.reader(opened, delimiter=mapping.separator), [])


def _csv_rows(opened: IO[str], mapping: Layout, wanted: list[str]) -> Iterator[Row | Refused]:
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(opened, delimiter=mapping.separator)
    header = next(reader)
    pick = _picking([header.index(column) for column in wanted])
    for number, cells in enumerate(filter(None, reader), 1):
        if len(cells) == len(header):
            yield number, pick(cells)
        else:
            yield Refused(number, "not a row", f"{len(cells)} cells, the header has {len(header)}")


def _picking(indexes: list[int]) -> Callable[[list[str]], tuple[str, ...]]:
    if len(indexes) == 1:
        return lambda cells: (cells[indexes[0]],)
    return itemgetter(*indexes)


def _json_columns(opened: IO[str], mapping: Layout) -> list[str]:
    seen: dict[str, None] = {}
    for line in islice(opened, HEAD):
        with suppress(msgspec.DecodeError, UnicodeError, RecursionError):
            seen |= dict.fromkeys(_object.decode(line))
    return list(seen)


def _json_rows(opened: IO[str], mapping: Layout, wanted: list[str]) -> Iterator[Row | Refused]:
    for number, line in enumerate((line for line in opened if not line.isspace()), 1):
        try:
            cells = _object.decode(line)
            yield number, tuple([_cell(cells.get(column)) for column in wanted])
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            yield Refused(number, "not a row", str(error))


def _cell(raw: msgspec.Raw | None) -> str:
    """The value as it is in the file: the text of a string, and the JSON of everything else."""
    if raw is None:
        return ""
    written = bytes(raw)
    if written[:1] == b'"':
        return _text.decode(written)
    return "" if written == b"null" else written.decode()


def _parquet_columns(opened: IO[bytes], mapping: Layout) -> list[str]:
    return list(_parquet(opened).schema_arrow.names)


def _parquet_rows(opened: IO[bytes], mapping: Layout, wanted: list[str]) -> Iterator[Row | Refused]:
    batches = _parquet(opened).iter_batches(batch_size=20_000, columns=wanted)
    yield from enumerate(chain.from_iterable(_cells(batch, wanted) for batch in batches), 1)


def _cells(batch: Any, wanted: list[str]) -> Iterator[tuple[str, ...]]:
    return zip(*[map(_shown, batch.column(column).to_pylist()) for column in wanted], strict=True)


def _parquet(opened: IO[bytes]) -> Any:
    try:
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError:
        raise UsageError("reading Parquet needs pyarrow: pip install 'segmenter[parquet]'.") from None
    return ParquetFile(opened)


def _shown(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None or value != value else str(value)


_COLUMNS: dict[str, Callable[[IO[Any], Layout], list[str]]] = {
    "csv": _csv_columns,
    "jsonl": _json_columns,
    "parquet": _parquet_columns,
}
_ROWS: dict[str, Callable[[IO[Any], Layout, list[str]], Iterator[Row | Refused]]] = {
    "csv": _csv_rows,
    "jsonl": _json_rows,
    "parquet": _parquet_rows,
}
