"""The events of the demo in a warehouse, and its statements in a page with what they print."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import text

from consumers.sink import convert
from producers.synthetic.generator import generate
from segmenter import warehouse
from segmenter.events import Rules
from segmenter.events.sharding import shard_of
from segmenter.settings import Settings
from segmenter.warehouse import Loaded, Move, Warehouse
from segmenter.warehouse.engine import reading
from tests.warehouse.world import Record

STATEMENT = re.compile(r"```sql\n(.*?)```\n\n```text\n(.*?)```", re.DOTALL)


@contextmanager
def demo_warehouse(folder: Path) -> Iterator[Warehouse]:
    """A warehouse in SQLite that has loaded what `segmenter demo` publishes, and summed it up."""
    settings = Settings(warehouse_url=f"sqlite:///{folder}/demo.db")
    ends: dict[tuple[str, int], int] = {}
    records = []
    for message in generate(100_000, 3_000, seed=1, kinds=settings.kinds):
        at = message.topic, shard_of(message.key, settings.partitions)
        records.append(Record(*at, ends.get(at, 0), 2**41, message.key, message.value))
        ends[at] = ends.get(at, 0) + 1
    rows, invalid = convert(records, settings, dict.fromkeys({topic for topic, _ in ends}, "t1"), Rules.of(settings))
    assert not invalid
    with warehouse.connect(settings) as database:
        warehouse.migrate(database, now_ms=1)
        warehouse.begin(database, {at: Loaded("t1", 0) for at in ends}, 1)
        warehouse.load(database, rows, {at: Move(0, end) for at, end in ends.items()})
        warehouse.refresh_summary(database, settings.duplicate_window)
        yield database


def printed(database: Warehouse, statement: str) -> str:
    """What a statement finds, as a table of text."""
    with reading(database) as connection:
        found = connection.execute(text(statement))
        rows = [tuple(found.keys()), *[tuple(map(_cell, row)) for row in found]]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) + "\n" for row in rows)


def _cell(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode()
    return "NULL" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
