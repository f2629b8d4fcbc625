"""The notebook in examples/, run cell by cell on a warehouse with snapshots and moves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from segmenter import warehouse
from segmenter.settings import Settings
from segmenter.warehouse import Cut, Followed, StoredChange
from tests.warehouse.test_incremental import at
from tests.warehouse.world import PARTITIONS, WINDOW, ends, load, random_log

NOTEBOOK = Path(__file__).parents[2] / "examples" / "segments.ipynb"
DAY_MS = 86_400_000


def run(cells: list[str]) -> dict[str, Any]:
    """The variables after all cells, each of which sees those before it."""
    variables: dict[str, Any] = {}
    for number, cell in enumerate(cells):
        exec(compile(cell, f"cell {number}", "exec"), variables)
    return variables


def test_it_reads_the_views(warehouse_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    log = random_log(1)
    settings = Settings(warehouse_url=warehouse_url, partitions=PARTITIONS, duplicate_window=WINDOW)
    with warehouse.connect(settings) as database:
        warehouse.migrate(database, 1)
        load(database, log)
        warehouse.refresh_summary(database, WINDOW)
        cuts, users = {where: Cut("t1", end) for where, end in ends(log).items()}, at(log, ends(log))
        moves = [StoredChange(0, user, 5, 0, "", "low_engagement", "behaviour", 1) for user, *_ in users]
        moves += [StoredChange(0, user, 6, 0, "low_engagement", "high", "model", 2) for user, *_ in users[:4]]
        for taken_ms in (DAY_MS, DAY_MS + 5, 2 * DAY_MS):
            names = {"low_engagement": "Low engagement"}
            follow = {"names": names, "follow": lambda number, kept: [Followed(moves, [])]}
            warehouse.write_snapshot(database, taken_ms, cuts, [users], 1, '{"number": 1}', {}, **follow)
    monkeypatch.setenv("SEGMENTER_WAREHOUSE_URL", warehouse_url)
    cells = [cell for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
    found = run(["".join(cell["source"]) for cell in cells])
    assert found["sizes"].loc["Low engagement", "users"] == len(users)
    assert sorted(found["current"]["user_id"]) == sorted(user.decode() for user, *_ in users)
    clicks = sum(row[2] for row in users) / len(users)
    assert found["profile"].loc["Low engagement", "total_clicks"] == round(clicks, 1)
    assert found["over_time"]["Low engagement"].tolist() == [len(users)] * 2
    assert found["moves"]["cause"].tolist() == ["model"] * 4
