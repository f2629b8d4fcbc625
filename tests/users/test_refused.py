"""Whatever a file of users holds: what does not fit is refused by reason, and the rest is loaded as it stands."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest
import sqlalchemy

from segmenter.errors import UsageError
from segmenter.operations.users import load as loading
from segmenter.operations.users.load import UsersLoaded
from segmenter.settings import Settings
from tests.users.files import HEADER, read_all, stored, write_mapping, write_rows

NOW_MS = 1_800_000_000_000
NUMBER, FINITE, DATE, LONG, TEXT = (
    "number not readable",
    "number not finite",
    "date not readable",
    "value too long",
    "not text",
)
OWL = "\U0001f989"
MILLION = "m" * 1_000_000


class No(str):
    """The reason why a cell is refused."""


CELLS: dict[str, dict[str, Any]] = {
    "who": {
        **{
            "u1": b"u1",
            "nobody has events": b"nobody has events",
            " ": b" ",
            "\U0001f989" * 128: "\U0001f989".encode() * 128,
        },
        **{"": No("no user"), "x" * 129: No("user id too long"), MILLION: No("user id too long"), "\udcff": No(TEXT)},
    },
    "at": {
        **{"5": 5_000, "1800086400": 1_800_086_400_000},
        **{"": No("no time"), "noon": No("no time"), "-1": No("no time"), "1800086401": No("time ahead")},
        **{MILLION: No("no time"), "9" * 16: No("no time")},
    },
    "group": {
        **{"": None, " a ": "a", '"': '"', "a\r\nb,c;\t": "a\r\nb,c;", "\x00": "\x00", "=1+1": "=1+1", "NaN": "NaN"},
        **{OWL * 512: OWL * 512, "y" * 513: No(LONG), MILLION: No(LONG), "a\udcff": No(TEXT)},
    },
    "earns": {
        **{
            "": None,
            "12.5": 12.5,
            "-3": -3.0,
            "+1E3": 1_000.0,
            "0x10": No(NUMBER),
            "1,000": No(NUMBER),
            "1_0": No(NUMBER),
        },
        **{"abc": No(NUMBER), "NaN": No(FINITE), "-inf": No(FINITE), "Infinity": No(FINITE), "1e309": No(FINITE)},
        **{"9" * 513: No(LONG), "9" * 400: No(FINITE), "\u0661": No(NUMBER), ".": No(NUMBER), "true": No(NUMBER)},
    },
    "joined": {
        **{"": None, "2024-02-29": "2024-02-29", "2024-02-29 23:59:59": "2024-02-29", "9999-12-31": "9999-12-31"},
        **{"2023-02-29": No(DATE), "10000-01-01": No(DATE), "0000-01-01": No(DATE), "0001-01-01T00:00+01:00": No(DATE)},
        **{"31.12.2024": No(DATE), "soon": No(DATE), MILLION: No(LONG)},
    },
    "likes": {"": None, "a|b": "a|b", "|": None, MILLION: No(LONG)},
}
COLUMNS = {"group": "group", "earns": "income", "joined": "joined", "likes": "likes"}
ORDER = ("who", "at", *COLUMNS)
rows = st.lists(st.tuples(*[st.sampled_from(sorted(CELLS[name])) for name in HEADER]), max_size=8)
Row = tuple[str, ...]


def plainly(given: list[Row]) -> tuple[Counter[str], dict[tuple[bytes, str], tuple[int, Any]]]:
    """How many rows are refused for each reason, the first one in the order of `ORDER`; and the last values."""
    refused: Counter[str] = Counter()
    last: dict[tuple[bytes, str], tuple[int, Any]] = {}
    for row in given:
        found = {name: CELLS[name][cell] for name, cell in zip(HEADER, row, strict=True)}
        reasons = [found[name] for name in ORDER if isinstance(found[name], No)]
        refused.update(map(str, reasons[:1]))
        for column, attribute in COLUMNS.items() if not reasons else ():
            if found[column] is not None:
                key, new = (found["who"], attribute), (found["at"], found[column])
                last[key] = max(last.get(key, new), new)
    return refused, last


def load(settings: Settings, folder: Path, given: list[Row], encoding: str = "utf-8") -> UsersLoaded:
    path = write_rows(folder / "users.csv", given, encoding)
    return loading.load(settings, path, write_mapping(folder, timed=True), NOW_MS)


def test_any_cells(warehouse_url: str, tmp_path: Path) -> None:
    """read = loaded + refused; what is refused is named with its row, and shown cut."""
    settings = Settings(warehouse_url=warehouse_url)
    engine = sqlalchemy.create_engine(warehouse_url)
    load(settings, tmp_path, [])

    @hypothesis.settings(max_examples=40 if engine.dialect.name == "sqlite" else 15)
    @hypothesis.given(rows, st.sampled_from(["utf-8", "utf-8-sig"]))
    def agree(given: list[Row], encoding: str) -> None:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("DELETE FROM user_attributes"))
        done = load(settings, tmp_path, given, encoding)
        refused, last = plainly(given)
        assert {reason: tally.rows for reason, tally in done.refused.items()} == refused
        assert (done.read, done.loaded) == (len(given), len(given) - refused.total())
        assert all(len(tally.detail) < 700 for tally in done.refused.values())
        found = {
            (bytes(user), attribute): (at, next(value for value in values if value is not None))
            for user, attribute, at, *values in stored(warehouse_url)
        }
        assert found == last

    agree()
    engine.dispose()


@pytest.mark.parametrize(
    ("column", "cell", "reason"),
    [(name, cell, found) for name, cells in CELLS.items() for cell, found in cells.items() if isinstance(found, No)],
    ids=lambda value: f"{value!r:.24}",
)
def test_each_reason_is_told_with_its_row(column: str, cell: str, reason: str, tmp_path: Path) -> None:
    right = {"who": "u1", "at": "5", "group": "a", "earns": "1", "joined": "2024-01-01", "likes": "b"}
    given = [tuple(right[name] for name in HEADER), tuple((right | {column: cell})[name] for name in HEADER)]
    done = load(Settings(warehouse_url=f"sqlite:///{tmp_path}/w.db"), tmp_path, given)
    ((told, tally),) = done.refused.items()
    assert (told, tally.rows, tally.first) == (reason, 1, (2,))
    assert (column in tally.detail) and len(tally.detail) < 300
    assert (done.read, done.loaded, done.values.users) == (2, 1, 1)


def test_rows_of_the_wrong_length_and_quotes_that_do_not_end(warehouse_url: str, tmp_path: Path) -> None:
    """A quote that does not end takes the rest of the file with it, as one row, which is refused."""
    path = tmp_path / "users.csv"
    line = "u1,a,1,2024-01-01,b,5\n"
    path.write_text(f"{','.join(HEADER)}\n{line}u2,a\n{line}u3,a,1,2024-01-01,b,5,6\n" + f'u4,"a\n{line}{line}')
    done = loading.load(Settings(warehouse_url=warehouse_url), path, write_mapping(tmp_path, timed=True), NOW_MS)
    assert (done.read, done.loaded, done.values.users) == (5, 2, 1)
    assert {reason: (tally.rows, tally.first) for reason, tally in done.refused.items()} == {
        "not a row": (3, (2, 4, 5))
    }


def test_two_types_in_a_column(warehouse_url: str, tmp_path: Path) -> None:
    """The rows that fit are loaded, the others are refused, and none is lost."""
    given: list[Row] = [(f"u{n}", "", "many" if n % 3 else str(n), "", "", "5") for n in range(30)]
    done = load(Settings(warehouse_url=warehouse_url), tmp_path, given)
    assert (done.read, done.loaded, done.refused[NUMBER].rows) == (30, 10, 20)
    assert done.refused[NUMBER].first == (2, 3, 5, 6, 8)
    held = read_all(warehouse_url, "SELECT user_id, income FROM users")
    assert sorted((bytes(user), income) for user, income in held) == sorted(
        (f"u{n}".encode(), float(n)) for n in range(0, 30, 3)
    )


@hypothesis.settings(max_examples=150)
@hypothesis.given(st.binary(max_size=400), st.booleans())
def test_any_bytes(data: bytes, headed: bool) -> None:
    """Either the file does not have the columns, or every row is loaded or refused."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "users.csv").write_bytes((",".join(HEADER) + "\n").encode() * headed + data)
        mapping = write_mapping(folder, timed=False)
        settings = Settings(warehouse_url=f"sqlite:///{folder}/w.db")
        try:
            done = loading.preview(settings, folder / "users.csv", mapping, NOW_MS, 1_000)
        except UsageError as error:
            assert "\n" not in str(error)
            return
        assert headed
        assert all(tally.rows >= len(tally.first) > 0 for tally in done.refused.values())
