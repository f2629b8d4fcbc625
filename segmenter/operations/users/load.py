"""Loading a file of users: its columns become attributes in the warehouse, of which the last value wins.

The whole file is one transaction: what is stored does not change before its last row is read, and after an error it
is as before. The values wait in a temporary table, so a long file needs no memory here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from producers.messages import Refused, RefusedRows, count_refused
from producers.recorded import readers
from producers.recorded.mapping_file import check_columns
from segmenter import warehouse
from segmenter.operations.progress import Progress, silent
from segmenter.operations.users.conversion import UserRow, to_users
from segmenter.operations.users.mapping import UserMapping
from segmenter.operations.users.mapping import load as load_mapping
from segmenter.settings import Settings
from segmenter.warehouse import ArrivingValue, LoadedValues

ROWS_AT_A_TIME = 2_000


class UsersLoaded(NamedTuple):
    """What was done with the rows of a file: ``read`` is ``loaded`` and the ``refused`` ones, by reason.

    ``attributes`` says of each how many of the loaded rows have a value, ``values`` what these were to the warehouse.
    """

    read: int
    loaded: int
    refused: dict[str, RefusedRows]
    attributes: dict[str, int]
    values: LoadedValues


@dataclass
class _Tally:
    """What is known of the rows so far: how many have each attribute, how many were loaded, which were refused."""

    given: Counter[str]
    loaded: int = 0
    refused: dict[str, RefusedRows] = field(default_factory=dict)


class Preview(NamedTuple):
    """The first users that would be loaded, and the rows before the last of them that would be refused."""

    users: list[UserRow]
    refused: dict[str, RefusedRows]


def load(settings: Settings, file: Path, mapping_path: Path, now_ms: int, progress: Progress = silent) -> UsersLoaded:
    """Load the attributes of users from a file into the warehouse, all of it or, if an error is raised, nothing.

    Without a time in the mapping, the values hold since ``now_ms``. Raises `MappingError` when the mapping is wrong or
    does not fit the file, and `UsageError` when the file cannot be read, or an attribute is stored under another type.
    """
    mapping = _mapping(mapping_path, file)
    tally = _Tally(Counter(dict.fromkeys(mapping.attributes, 0)))
    with warehouse.connect(settings) as database, progress("loading users", None) as advance:
        warehouse.migrate(database, now_ms)
        rows = _users(file, mapping, now_ms + settings.max_ahead_ms)
        arriving = _arriving(rows, now_ms, tally, advance)
        values = warehouse.load_attributes(database, mapping.catalogue(), arriving, mapping.time is not None)
    read = tally.loaded + sum(each.rows for each in tally.refused.values())
    return UsersLoaded(read, tally.loaded, tally.refused, dict(tally.given), values)


def preview(settings: Settings, file: Path, mapping_path: Path, now_ms: int, count: int) -> Preview:
    """The first ``count`` users that `load` would load; needs no warehouse. Raises what `load` does of the file."""
    mapping = _mapping(mapping_path, file)
    refused: dict[str, RefusedRows] = {}
    users: list[UserRow] = []
    for row in _users(file, mapping, now_ms + settings.max_ahead_ms):
        if isinstance(row, Refused):
            count_refused(refused, row)
            continue
        users.append(row)
        if len(users) == count:
            break
    return Preview(users, refused)


def _mapping(path: Path, file: Path) -> UserMapping:
    mapping = load_mapping(path)
    check_columns(mapping, path, file, readers.columns(file, mapping))
    return mapping


def _users(file: Path, mapping: UserMapping, latest_ms: int) -> Iterator[UserRow | Refused]:
    return to_users(readers.rows(file, mapping, mapping.needed()), mapping, latest_ms)


def _arriving(
    rows: Iterable[UserRow | Refused], now_ms: int, tally: _Tally, advance: Callable[[int], None]
) -> Iterator[list[ArrivingValue]]:
    """The values of the rows in batches, while the rows are counted."""
    left = iter(rows)
    while batch := list(islice(left, ROWS_AT_A_TIME)):
        arriving: list[ArrivingValue] = []
        for row in batch:
            if isinstance(row, Refused):
                count_refused(tally.refused, row)
                continue
            tally.loaded += 1
            tally.given.update(row.values.keys())
            arriving += _values(row, now_ms)
        yield arriving
        advance(len(batch))


def _values(row: UserRow, now_ms: int) -> list[ArrivingValue]:
    as_of_ms, line = (now_ms, row.row) if row.as_of_ms is None else (row.as_of_ms, 0)
    return [ArrivingValue(row.user, name, as_of_ms, line, value) for name, value in row.values.items()]
