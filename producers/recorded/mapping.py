"""A mapping says how the rows of a recorded file become events; it is a TOML file that a person writes.

::

    format = "csv"                 # csv, jsonl or parquet; gzipped when the file's name ends in .gz
    separator = ";"                # csv only
    encoding = "utf-8"             # csv and jsonl
    one_per = ["invoice"]          # one event for each value of these columns: the first row that can become one

    [columns]                      # event field = the column it is taken from; an empty cell is an absent field
    user_id = "customer"

    [constants]                    # event field = the same text in every event
    device = "till"

    [properties]                   # property = column
    country = "Country"

    [time]
    column = "at"                  # or several, joined by a space: ["year", "month", "day"]
    format = "unix_s"              # unix_s, unix_ms, iso, or a strptime pattern; UTC unless the text says otherwise
    order = "click"                # a column that counts within the day or session: order * step_ms is added
    step_ms = 1000

    [kind]                         # what users did, by the names of the kinds
    column = "action"
    default = "..."                # for values that are not listed; without it they are refused
    values = { "search for item" = "..." }

    [amount]
    column = "price"               # a number of ``unit``: "major" (12.50) or "minor" (1250)
    times = "quantity"             # another column, by which it is multiplied
    sum = true                     # with one_per: the sum of all rows of it, whether they become events or not

    [duration]
    column = "dwell"               # a number of ``unit``, "s" or "ms"
    derive = "next_event"          # or, instead: until the next event of the same session, at most ``cap_s``
    cap_s = 1800

Ids are text: they get into the event exactly as they are in the file. A duration or an amount is filled for the kinds
that measure one, and of ``query`` and ``item_id`` the one that the kind has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Protocol

import msgspec
from msgspec import Meta

Format = Literal["csv", "jsonl", "parquet"]
Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""A 64-bit integer, as TOML has it; Python reads longer ones, too."""


_AMOUNT = (("amount", "column"), ("amount", "times"))


class Layout(Protocol):
    """What a mapping says of how a file is written, and which of its columns are used."""

    @property
    def format(self) -> Format: ...
    @property
    def separator(self) -> str: ...
    @property
    def encoding(self) -> str: ...
    def uses(self) -> Iterator[tuple[str, str]]:
        """Each (key of the mapping, column of the file) that it names."""


class Moment(msgspec.Struct, frozen=True):
    """Which columns hold a time, and how to read them."""

    column: str | tuple[str, ...]
    format: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns whose texts, joined by a space, are the time."""
        return (self.column,) if isinstance(self.column, str) else self.column


class Time(Moment, frozen=True):
    """Which columns hold the time of an event, and how to read them."""

    order: str | None = None
    step_ms: Whole = 1_000


class Kind(msgspec.Struct, frozen=True):
    """Which values of a column mean which kind of event."""

    column: str | None = None
    default: str | None = None
    values: dict[str, str] = {}


class Duration(msgspec.Struct, frozen=True):
    """How long an event lasted: read from a column, or derived from the next event of the session."""

    column: str | None = None
    unit: Literal["s", "ms"] = "ms"
    derive: Literal["next_event"] | None = None
    cap_s: Whole = 1_800


class Amount(msgspec.Struct, frozen=True):
    """How much an event is worth: a column, or the product of two; of one row, or summed up over all rows of one."""

    column: str | None = None
    times: str | None = None
    unit: Literal["major", "minor"] = "major"
    sum: bool = False


class Mapping(msgspec.Struct, frozen=True):
    """How rows become events. `producers.recorded.mapping_file.load` reads and checks one."""

    format: Format
    columns: dict[str, str]
    time: Time
    kind: Kind
    separator: str = ","
    encoding: str = "utf-8"
    one_per: tuple[str, ...] = ()
    constants: dict[str, str] = {}
    properties: dict[str, str] = {}
    duration: Duration = Duration()
    amount: Amount = Amount()

    def kinds(self) -> list[str]:
        """The names of the kinds that rows may become."""
        default = [] if self.kind.default is None else [self.kind.default]
        return list(dict.fromkeys([*default, *self.kind.values.values()]))

    def uses(self) -> Iterator[tuple[str, str]]:
        """Each (key of the mapping, column of the file) that it names."""
        yield from ((f"columns.{field}", column) for field, column in self.columns.items())
        yield from ((f"properties.{name}", column) for name, column in self.properties.items())
        yield from (("time.column", column) for column in self.time.columns)
        yield from (("one_per", column) for column in self.one_per)
        for table, name in (("time", "order"), ("kind", "column"), ("duration", "column"), *_AMOUNT):
            if (column := getattr(getattr(self, table), name)) is not None:
                yield f"{table}.{name}", column

    def needed(self) -> list[str]:
        """The columns that it reads, each once."""
        return list(dict.fromkeys(column for _, column in self.uses()))
