"""The last value of each user and attribute wins, in whatever order rows and files come."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pandas as pd
import pytest
import sqlalchemy

from segmenter.operations.users import load as loading
from segmenter.settings import Settings
from tests.users.files import HEADER, read_all, stored, write_mapping, write_rows

NOW_MS = 1_800_000_000_000
CELLS = {
    "who": ["u1", "U1", "u1 ", "007", "7", "ü"],
    "group": ["", " ", "a", "a ", "A", "ab", "a\nb", "a\x01b", 'a"b,', "é", "e\u0301", "\U0001f989", "x" * 512],
    "earns": ["", "0", "-0", "1e3", "12.50", "-3", " .5", "7.", "0.1", "0.10000000000000001", "1.7e308"],
    "joined": ["", "2024-02-29", "0001-01-01", "9999-12-31", "2024-02-29T23:30:00-01:00", "1969-12-31"],
    "likes": ["", "|", "sports", "sports|travel", " sports | travel ", "travel|sports"],
    "at": ["1", "2", "2.0005", "3", "1700000000"],
}
TYPES = {"group": "group", "income": "earns", "joined": "joined", "likes": "likes"}
rows = st.lists(st.tuples(*[st.sampled_from(CELLS[name]) for name in HEADER]), max_size=12)
Values = dict[tuple[bytes, str], Any]


def read_plainly(attribute: str, cell: str) -> Any:
    """The value of a cell, None if it is empty."""
    text = cell.strip()
    if attribute == "likes":
        text = "|".join(part.strip() for part in text.split("|") if part.strip())
    if not text:
        return None
    if attribute == "income":
        return float(text)
    return pd.Timestamp("2024-03-01").date().isoformat() if "T23" in text else text


def by_rank(files: list[list[tuple[str, ...]]], timed: bool) -> Values:
    """Sort all by time and value, or as they stand, and take the last of each user and attribute, in plain pandas."""
    table = pd.DataFrame([row for file in files for row in file], columns=list(HEADER), dtype=object)
    table["ms"] = [int(float(cell) * 1_000) for cell in table["at"]]
    last: Values = {}
    for attribute, column in TYPES.items():
        found = table.assign(value=[read_plainly(attribute, cell) for cell in table[column]])
        found = found[found["value"].notna()]
        if timed:
            ranks = [value if isinstance(value, float) else value.encode() for value in found["value"]]
            found = found.assign(rank=pd.Series(ranks, index=found.index, dtype=object)).sort_values(["ms", "rank"])
        for user, own in found.groupby("who"):
            final = own.iloc[-1]
            last[str(user).encode(), attribute] = (final["value"], final["ms"] if timed else None)
    return last


def held(url: str, timed: bool) -> Values:
    """What is stored."""
    return {
        (bytes(user), attribute): (next(value for value in values if value is not None), as_of if timed else None)
        for user, attribute, as_of, *values in stored(url)
    }


@pytest.mark.parametrize("timed", [True, False])
def test_the_last_value_wins(timed: bool, warehouse_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in plain pandas. With times, rows and files come in any order. Loading all again changes nothing."""
    monkeypatch.setattr(loading, "ROWS_AT_A_TIME", 3)
    settings, mapping = Settings(warehouse_url=warehouse_url), write_mapping(tmp_path, timed=timed)
    engine = sqlalchemy.create_engine(warehouse_url)
    now_ms = NOW_MS

    def load(files: list[list[tuple[str, ...]]]) -> list[int]:
        nonlocal now_ms
        changed = []
        for file in files:
            now_ms += 1
            path = write_rows(tmp_path / "users.csv", file)
            done = loading.load(settings, path, mapping, now_ms)
            assert (done.read, done.loaded, done.refused) == (len(file), len(file), {})
            changed.append(done.values.changed)
        return changed

    def forget() -> None:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("DELETE FROM user_attributes"))

    @hypothesis.settings(max_examples=40 if engine.dialect.name == "sqlite" else 10)
    @hypothesis.given(st.lists(rows, min_size=1, max_size=3), st.randoms(use_true_random=False))
    def agree(files: list[list[tuple[str, ...]]], order: random.Random) -> None:
        load([[]])
        forget()
        load(files)
        wanted = by_rank(files, timed)
        assert held(warehouse_url, timed) == wanted
        once = stored(warehouse_url)
        if timed:
            assert load(files) == [0] * len(files)
            assert stored(warehouse_url) == once
            forget()
            every = [row for file in files for row in file]
            order.shuffle(every)
            middle = order.randint(0, len(every))
            load([every[middle:], every[:middle]])
        elif len(files) == 1:
            assert load(files) == [0]
        else:
            load(files)
            assert held(warehouse_url, timed) == wanted
            return
        assert stored(warehouse_url) == once

    agree()
    engine.dispose()


def test_what_held_later_stays_whenever_it_is_loaded(warehouse_url: str, tmp_path: Path) -> None:
    """A file without times holds since it is loaded, so it stands after older times, and before none that is later."""
    settings = Settings(warehouse_url=warehouse_url)
    timed, untimed = write_mapping(tmp_path, timed=True), write_mapping(tmp_path, timed=False, name="untimed.toml")

    def group_after(mapping: Path, group: str, at: str, now_ms: int) -> str:
        path = write_rows(tmp_path / "users.csv", [("u1", group, "", "", "", at)])
        loading.load(settings, path, mapping, now_ms)
        ((found,),) = read_all(warehouse_url, "SELECT `group` FROM users")
        return str(found)

    assert group_after(untimed, "b", "1", 1_000_000) == "b"
    assert group_after(timed, "z", "999", 1_000_001) == "b"
    assert group_after(timed, "a", "1001", 1_002_000) == "a"
    assert group_after(untimed, "c", "1", 1_000_500) == "a", "by a clock that is behind"
    assert group_after(untimed, "c", "1", 1_002_000) == "c"
