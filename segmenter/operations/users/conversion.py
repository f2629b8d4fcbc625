"""Conversion: the cells of a row become the attributes of a user, as a mapping says."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from typing import NamedTuple

from producers.messages import Refused
from producers.recorded import times
from producers.recorded.readers import Row
from segmenter.events import key_of
from segmenter.events.event import MAX_USER_CHARACTERS
from segmenter.operations.users.mapping import AttributeColumn, UserMapping
from segmenter.warehouse import MAX_VALUE

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_EPOCH = date(1970, 1, 1)
_DAY_MS = 86_400_000
SHOWN = 80
"""The most characters of a cell that are shown of a refused row."""

Value = str | float
Cells = tuple[str, ...]


class UserRow(NamedTuple):
    """A row of the file: its number, the user, the values that are there, and since when they hold.

    A date is YYYY-MM-DD. ``as_of_ms`` is None if the file does not say.
    """

    row: int
    user: bytes
    values: dict[str, Value]
    as_of_ms: int | None


class _Unfit(Exception):
    """A row that cannot be loaded."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


def to_users(rows: Iterable[Row | Refused], mapping: UserMapping, latest_ms: int) -> Iterator[UserRow | Refused]:
    """The user of each row, or why it is refused; what holds only after ``latest_ms`` is.

    A row is refused as a whole, so none is loaded in part.
    """
    index = mapping.needed().index
    user_of = _user_reader(index(mapping.columns.user_id), mapping.columns.user_id)
    readers = [(name, index(each.column), _value_reader(each)) for name, each in mapping.attributes.items()]
    as_of = _time_reader(mapping, latest_ms)
    for row in rows:
        if isinstance(row, Refused):
            yield row
            continue
        number, cells = row
        try:
            user, as_of_ms = user_of(cells), as_of(cells)
            values = {name: value for name, at, read in readers if (value := read(cells[at])) is not None}
            yield UserRow(number, user, values, as_of_ms)
        except _Unfit as unfit:
            yield Refused(number, unfit.reason, unfit.detail)


def _user_reader(at: int, column: str) -> Callable[[Cells], bytes]:
    def read(cells: Cells) -> bytes:
        user = cells[at]
        if not user:
            raise _Unfit("no user", f"{column} is empty")
        if len(user) > MAX_USER_CHARACTERS:
            at_most = f"has {len(user):,} characters, at most {MAX_USER_CHARACTERS} are allowed"
            raise _Unfit("user id too long", f"{column} {at_most}: {_shown(user)}")
        try:
            return key_of(user)
        except UnicodeError:
            raise _Unfit("not text", f"{column} is {_shown(user)}") from None

    return read


def _value_reader(each: AttributeColumn) -> Callable[[str], Value | None]:
    """From a cell to the value; None if it is empty. Blanks around a value do not count."""
    of_type = {"category": _category(each.separator), "number": _number, "date": _date(each.format or "iso")}[each.type]

    def read(cell: str) -> Value | None:
        text = cell.strip()
        if not text:
            return None
        if len(text) > MAX_VALUE:
            detail = f"{each.column} has {len(text):,} characters, at most {MAX_VALUE} are allowed: {_shown(text)}"
            raise _Unfit("value too long", detail)
        try:
            return of_type(text)
        except _Unfit as unfit:
            raise _Unfit(unfit.reason, f"{each.column} is {unfit.detail}") from None

    return read


def _category(separator: str | None) -> Callable[[str], Value | None]:
    def read(text: str) -> Value | None:
        try:
            text.encode()
        except UnicodeError:
            raise _Unfit("not text", _shown(text)) from None
        if separator is None:
            return text
        return separator.join([item for item in map(str.strip, text.split(separator)) if item]) or None

    return read


def _number(text: str) -> float:
    if _NOT_FINITE.fullmatch(text):
        raise _Unfit("number not finite", _shown(text))
    if not _NUMBER.fullmatch(text):
        raise _Unfit("number not readable", f"{_shown(text)}, not a number such as 12.50 or -3")
    number = float(text)
    if not math.isfinite(number):
        raise _Unfit("number not finite", _shown(text))
    return number + 0.0  # -0.0 is 0.0


def _date(format: str) -> Callable[[str], str]:
    to_ms = times.reader(format)

    def read(text: str) -> str:
        try:
            return (_EPOCH + timedelta(days=to_ms(text) // _DAY_MS)).isoformat()
        except (ValueError, OverflowError):
            raise _Unfit("date not readable", f"{_shown(text)}, not a date as {format} says") from None

    return read


def _time_reader(mapping: UserMapping, latest_ms: int) -> Callable[[Cells], int | None]:
    time = mapping.time
    if time is None:
        return lambda cells: None
    at = [mapping.needed().index(column) for column in time.columns]
    to_ms, named = times.reader(time.format), " ".join(time.columns)

    def read(cells: Cells) -> int:
        text = " ".join([cells[each] for each in at])
        try:
            moment = to_ms(text)
        except (ValueError, OverflowError):
            raise _Unfit("no time", f"{named} is {_shown(text)}, not a time as {time.format} says") from None
        if moment > latest_ms:
            raise _Unfit("time ahead", f"{named} is {_shown(text)}, which is still to come")
        return moment

    return read


def _shown(text: str) -> str:
    return repr(text) if len(text) <= SHOWN else f"{text[:SHOWN]!r}..."
