"""Reading the file of a mapping, and checking it, also against the columns of the recorded file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from producers.recorded.mapping import Amount, Duration, Kind, Mapping, Time
from segmenter import kinds
from segmenter.errors import MappingError

FIELDS = ("user_id", "event_id", "session_id", "device", "url", "referrer", "item_id", "query")
"""The event fields that a column or a constant may fill."""

TIME_FORMATS = ("unix_s", "unix_ms", "iso")
MAX_CAP_S = 86_400


def load(path: Path, known: Iterable[kinds.Kind]) -> Mapping:
    """Read a mapping, which may name the kinds that are ``known`` or built in.

    Raises `MappingError` naming the file, the key and what is allowed.
    """
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
        _check_keys(path, tables, "", Mapping)
        for name, table in (("time", Time), ("kind", Kind), ("duration", Duration), ("amount", Amount)):
            _check_keys(path, tables.get(name, {}), f"[{name}] ", table)
        mapping = msgspec.convert(tables, Mapping)
    except OSError as error:
        raise MappingError(f"cannot read {path}: {error.strerror}. --mapping needs a TOML file.") from None
    except msgspec.ValidationError as error:
        said = str(error).replace("`", "")
        raise MappingError(f"{path}: {said}. See examples/mappings/ for whole mappings.") from None
    except (ValueError, RecursionError) as error:
        raise MappingError(f"{path} is not TOML in UTF-8: {error}.") from None
    for problem in _problems(mapping, list(kinds.BUILT_IN | {kind.name: kind for kind in known})):
        raise MappingError(f"{path}: {problem}")
    return mapping


def check_columns(mapping: Mapping, mapping_path: Path, file: Path, columns: list[str]) -> None:
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
    if len(mapping.separator) != 1:
        yield f"separator must be one character, not {mapping.separator!r}."
    yield from _encoding_problems(mapping.encoding)
    yield from _kind_problems(mapping.kind, names)
    yield from _time_problems(mapping.time)
    yield from _duration_problems(mapping)
    yield from _amount_problems(mapping)


def _encoding_problems(encoding: str) -> Iterator[str]:
    try:
        "".encode(encoding)
    except (LookupError, ValueError):
        yield f"encoding {encoding!r} is unknown; give one that Python knows, such as utf-8, latin-1 or utf-16."


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


def _time_problems(time: Time) -> Iterator[str]:
    if not time.columns:
        yield "[time] column names no column."
    if time.format in TIME_FORMATS:
        return
    if "%" not in time.format:
        yield (
            f"[time] format is {time.format!r}; allowed are {', '.join(TIME_FORMATS)}, or a strptime pattern "
            f"such as '%Y-%m-%d %H:%M:%S'.{did_you_mean(time.format, TIME_FORMATS)}"
        )
    try:
        datetime.strptime("", time.format)
    except (ValueError, re.error) as error:
        if not str(error).startswith("time data"):
            yield f"[time] format is not a strptime pattern: {error}."


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
