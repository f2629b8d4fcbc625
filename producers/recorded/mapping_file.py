"""Reading the file of a mapping, and checking it, also against the columns of the recorded file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from producers.recorded.mapping import Amount, Duration, Kind, Layout, Mapping, Moment, Time
from segmenter import kinds
from segmenter.errors import MappingError

FIELDS = ("user_id", "event_id", "session_id", "device", "url", "referrer", "item_id", "query")
"""The event fields that a column or a constant may fill."""

TIME_FORMATS = ("unix_s", "unix_ms", "iso")
MAX_CAP_S = 86_400

Schema = TypeVar("Schema", bound=msgspec.Struct)


def load(path: Path, known: Iterable[kinds.Kind]) -> Mapping:
    """Read a mapping, which may name the kinds that are ``known`` or built in.

    Raises `MappingError` naming the file, the key and what is allowed.
    """
    mapping = read(path, Mapping, {"time": Time, "kind": Kind, "duration": Duration, "amount": Amount})
    for problem in _problems(mapping, list(kinds.BUILT_IN | {kind.name: kind for kind in known})):
        raise MappingError(f"{path}: {problem}")
    return mapping


def read(path: Path, schema: type[Schema], tables: dict[str, type[msgspec.Struct]], listed: str = "") -> Schema:
    """Read a TOML file as ``schema``; likewise. Its ``tables`` have the keys of their schemas and no others.

    ``listed`` names the one that has a table of that schema for each of its keys.
    """
    try:
        found = tomllib.loads(path.read_text("utf-8"))
        _check_keys(path, found, "", schema)
        for name, table in tables.items():
            given = found.get(name, {})
            if name != listed:
                _check_keys(path, given, f"[{name}] ", table)
            for key in given if name == listed and isinstance(given, dict) else ():
                _check_keys(path, given[key], f"[{name}] {key} ", table)
        return msgspec.convert(found, schema)
    except OSError as error:
        raise MappingError(f"cannot read {path}: {error.strerror}. --mapping needs a TOML file.") from None
    except msgspec.ValidationError as error:
        said = str(error).replace("`", "")
        raise MappingError(f"{path}: {said}. See examples/mappings/ for whole mappings.") from None
    except (ValueError, RecursionError) as error:
        raise MappingError(f"{path} is not TOML in UTF-8: {error}.") from None


def check_columns(mapping: Layout, mapping_path: Path, file: Path, columns: list[str]) -> None:
    """Raise `MappingError` unless every column that the mapping names is one of the file's ``columns``."""
    for key, column in mapping.uses():
        if columns.count(column) > 1:
            raise MappingError(f"{mapping_path}: {key} names {column!r}, of which {file} has {columns.count(column)}.")
        if column not in columns:
            raise MappingError(
                f"{mapping_path}: {key} names {column!r}, which {file} does not have. "
                f"Its columns are {', '.join(map(_shown, columns)) or 'none: is it empty?'}."
                f"{did_you_mean(column, columns)}"
            )


def _shown(column: str) -> str:
    return column if column.isprintable() else repr(column)


def _check_keys(path: Path, table: Any, where: str, schema: type[msgspec.Struct]) -> None:
    allowed = schema.__struct_fields__
    for key in table if isinstance(table, dict) else ():
        if key not in allowed:
            raise MappingError(
                f"{path}: {where}has no key {key!r}; allowed are {', '.join(allowed)}.{did_you_mean(key, allowed)}"
            )


def _problems(mapping: Mapping, names: list[str]) -> Iterator[str]:
    """What is wrong with a mapping, for whatever recorded file; the first problem is reported."""
    for table in ("columns", "constants"):
        for field in getattr(mapping, table):
            if field not in FIELDS:
                yield (
                    f"[{table}] {field!r} is not an event field; allowed are {', '.join(FIELDS)}."
                    f"{did_you_mean(field, FIELDS)}"
                )
    if "user_id" not in mapping.columns:
        yield '[columns] needs user_id: the column whose text says whose event it is, as in user_id = "customer".'
    for field in mapping.columns.keys() & mapping.constants.keys():
        yield f"{field} is in [columns] and in [constants]; keep one of them."
    yield from layout_problems(mapping)
    yield from _kind_problems(mapping.kind, names)
    yield from moment_problems(mapping.time)
    yield from _duration_problems(mapping)
    yield from _amount_problems(mapping)


def layout_problems(layout: Layout) -> Iterator[str]:
    """What is wrong with how a file is said to be written."""
    if len(layout.separator) != 1:
        yield f"separator must be one character, not {layout.separator!r}."
    try:
        "".encode(layout.encoding)
    except (LookupError, ValueError):
        yield f"encoding {layout.encoding!r} is unknown; give one that Python knows, such as utf-8, latin-1 or utf-16."


def _kind_problems(kind: Kind, names: list[str]) -> Iterator[str]:
    named = {f"[kind.values] {value!r}": name for value, name in kind.values.items()}
    if kind.default is not None:
        named["[kind] default"] = kind.default
    for key, name in named.items():
        if name not in names:
            yield f"{key} is {name!r}; the kinds are {', '.join(names)}.{did_you_mean(name, names)}"
    if kind.column is None and (kind.values or kind.default is None):
        yield "[kind] needs a column with values, or a default for all rows: the name of a kind."
    if kind.column is not None and not kind.values:
        yield "[kind] names a column but no values; add [kind.values], which say what each value means."


def moment_problems(time: Moment) -> Iterator[str]:
    """What is wrong with the columns of a time, or with its format."""
    if not time.columns:
        yield "[time] column names no column."
    yield from format_problems(time.format, "[time] format")


def format_problems(format: str, key: str) -> Iterator[str]:
    """What is wrong with the format of a time, which is the value of ``key``."""
    if format in TIME_FORMATS:
        return
    if "%" not in format:
        yield (
            f"{key} is {format!r}; allowed are {', '.join(TIME_FORMATS)}, or a strptime pattern "
            f"such as '%Y-%m-%d %H:%M:%S'.{did_you_mean(format, TIME_FORMATS)}"
        )
    try:
        datetime.strptime("", format)
    except (ValueError, re.error) as error:
        if not str(error).startswith("time data"):
            yield f"{key} is not a strptime pattern: {error}."


def _duration_problems(mapping: Mapping) -> Iterator[str]:
    duration = mapping.duration
    if duration.column is not None and duration.derive is not None:
        yield "[duration] has a column and derive; keep one of them."
    if duration.derive is not None and "session_id" not in mapping.columns:
        yield "[duration] derive needs [columns] session_id: only the next event of the same session gives a duration."
    if not 0 < duration.cap_s <= MAX_CAP_S:
        yield f"[duration] cap_s is {duration.cap_s}; allowed are 1 to {MAX_CAP_S} seconds."


def _amount_problems(mapping: Mapping) -> Iterator[str]:
    amount = mapping.amount
    if amount.column is None and (amount.times is not None or amount.sum):
        yield "[amount] needs a column: what is multiplied or summed up."
    if amount.sum and not mapping.one_per:
        yield "[amount] sum needs one_per: the columns that say which rows are one event."


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """A sentence to append to an error, with a space before it, or nothing when no name is near.

    >>> did_you_mean("timestmp", ["timestamp", "userId"])
    " Did you mean 'timestamp'?"
    """
    near = get_close_matches(name, list(allowed), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
