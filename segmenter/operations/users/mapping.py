"""A mapping says which columns of a file are attributes of users; it is a TOML file that a person writes.

::

    format = "csv"                 # csv, jsonl or parquet; separator and encoding as in the mapping of a replay

    [columns]
    user_id = "household_id"

    [attributes]                   # attribute = where it is taken from; an empty cell is no value
    age_band = { column = "age", type = "category" }
    income = { column = "Income", type = "number" }
    signed_up = { column = "created", type = "date", format = "%d.%m.%Y" }     # by default iso
    interests = { column = "interests", type = "category", separator = "|" }   # lists several

    [time]                         # since when the values of a row hold; without it, since they were loaded
    column = "updated_at"
    format = "iso"                 # unix_s, unix_ms, iso, or a strptime pattern; UTC unless the text says otherwise
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from producers.recorded import mapping_file
from producers.recorded.mapping import Format, Moment
from segmenter.errors import MappingError
from segmenter.warehouse import ATTRIBUTE_TYPES, Attribute

_NAME = re.compile("[a-z][a-z0-9_]{0,63}")


class AttributeColumn(msgspec.Struct, frozen=True):
    """The column of an attribute, and how to read it."""

    column: str
    type: str
    format: str | None = None
    separator: str | None = None


class UserColumns(msgspec.Struct, frozen=True):
    """The column that says whose attributes a row has."""

    user_id: str


class UserMapping(msgspec.Struct, frozen=True):
    """How rows become attributes of users; `load` reads and checks one."""

    format: Format
    columns: UserColumns
    attributes: dict[str, AttributeColumn]
    time: Moment | None = None
    separator: str = ","
    encoding: str = "utf-8"

    def catalogue(self) -> list[Attribute]:
        """The attributes as they will be stored."""
        return [
            Attribute(name, kind, each.separator)
            for name, each in self.attributes.items()
            for kind in ATTRIBUTE_TYPES
            if kind == each.type
        ]

    def uses(self) -> Iterator[tuple[str, str]]:
        """Each (key of the mapping, column of the file) that it names."""
        yield "columns.user_id", self.columns.user_id
        yield from ((f"attributes.{name}", each.column) for name, each in self.attributes.items())
        if self.time is not None:
            yield from (("time.column", column) for column in self.time.columns)

    def needed(self) -> list[str]:
        """The columns that it reads, each once."""
        return list(dict.fromkeys(column for _, column in self.uses()))


def load(path: Path) -> UserMapping:
    """Read a mapping. Raises `MappingError` naming the file, the key and what is allowed."""
    tables: dict[str, type[msgspec.Struct]] = {"columns": UserColumns, "time": Moment, "attributes": AttributeColumn}
    mapping = mapping_file.read(path, UserMapping, tables, listed="attributes")
    for problem in _problems(mapping):
        raise MappingError(f"{path}: {problem}")
    return mapping


def _problems(mapping: UserMapping) -> Iterator[str]:
    """What is wrong with a mapping, for whatever file; the first problem is reported."""
    yield from mapping_file.layout_problems(mapping)
    if mapping.time is not None:
        yield from mapping_file.moment_problems(mapping.time)
    if not mapping.attributes:
        yield '[attributes] is empty; it needs at least one, as in age_band = { column = "age", type = "category" }.'
    for name, each in mapping.attributes.items():
        yield from _attribute_problems(name, each)


def _attribute_problems(name: str, each: AttributeColumn) -> Iterator[str]:
    if not _NAME.fullmatch(name) or name == "user_id":
        yield (
            f"[attributes] {name!r} is no name for an attribute: allowed are up to 64 of a-z, 0-9 and _, of which the "
            "first is a letter, and not user_id."
        )
    if each.type not in ATTRIBUTE_TYPES:
        yield (
            f"[attributes] {name} has the type {each.type!r}; allowed are {', '.join(ATTRIBUTE_TYPES)}."
            f"{mapping_file.did_you_mean(each.type, ATTRIBUTE_TYPES)}"
        )
    if each.separator is not None and (each.type != "category" or len(each.separator) != 1):
        yield f"[attributes] {name} has the separator {each.separator!r}; only a category has one, of one character."
    if each.format is not None and each.type != "date":
        yield f"[attributes] {name} has a format; only a date has one."
    if each.format is not None:
        yield from mapping_file.format_problems(each.format, f"[attributes] {name} format")
