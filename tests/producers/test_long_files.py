"""Recorded files that are read in several parts: no row is left out, and each has its own number."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet

from producers.messages import Message
from producers.recorded import replay
from producers.recorded.replay import ReplayOptions
from segmenter.events import Rules


def test_every_row_of_a_long_parquet_file_is_read(mapping_file: Callable[..., Path], tmp_path: Path) -> None:
    """A row near its end has no user: it is refused under its number in the file."""
    rows = 45_000
    columns = {"who": [f"u{row}" for row in range(1, rows + 1)], "at": ["5"] * rows, "did": ["look"] * rows}
    columns |= {"visit": [""] * rows, "what": [""] * rows}
    columns["who"][rows - 3] = ""
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "e.parquet", compression="none")
    mapping = mapping_file(("csv", "parquet"))
    users, refused = set(), []
    for each in replay.messages(tmp_path / "e.parquet", mapping, Rules(partitions=4), 10_000, ReplayOptions()):
        if isinstance(each, Message):
            users.add(each.key)
        else:
            refused.append((each.row, each.reason))
    assert users == {name.encode() for name in columns["who"] if name}
    assert refused == [(rows - 2, "no user")]
