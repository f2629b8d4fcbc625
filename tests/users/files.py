"""Files of users, and what the warehouse then holds, read by SQL alone."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy

MAPPING = """
format = "csv"
[columns]
user_id = "who"
[attributes]
group = { column = "group", type = "category" }
income = { column = "earns", type = "number" }
joined = { column = "joined", type = "date" }
likes = { column = "likes", type = "category", separator = "|" }
"""
TIME = """
[time]
column = "at"
format = "unix_s"
"""
HEADER = ("who", "group", "earns", "joined", "likes", "at")


def write_mapping(folder: Path, *, timed: bool, name: str = "users.toml") -> Path:
    """The mapping for files with the columns `HEADER`."""
    path = folder / name
    path.write_text(MAPPING + (TIME if timed else ""), "utf-8")
    return path


def write_rows(path: Path, rows: Iterable[Sequence[str]], encoding: str = "utf-8") -> Path:
    """A CSV file of these rows."""
    with path.open("w", encoding=encoding, newline="", errors="surrogateescape") as opened:
        csv.writer(opened).writerows([HEADER, *rows])
    return path


def read_all(url: str, query: str) -> list[tuple[Any, ...]]:
    """All rows of a query; bytes as bytes."""
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(sqlalchemy.text(query))]
    engine.dispose()
    return found


def stored(url: str) -> list[tuple[Any, ...]]:
    """Each value that is stored, with its user, attribute and time."""
    columns = "user_id, attribute, as_of_ms, category, number, day"
    return sorted(read_all(url, f"SELECT {columns} FROM user_attributes"), key=lambda row: row[:2])
