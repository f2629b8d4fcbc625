"""The tests that the guarantees name are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "guarantees.md").read_text("utf-8")


def test_every_promise_names_a_test_that_is_there() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| promise", "| ---"))]
    assert len(rows) > 15
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", row.split(" | ")[2])
        assert named, row
        for file, test in named:
            assert re.search(rf"^def {test or 'test_.*'}\(", (ROOT / file).read_text("utf-8"), re.M), f"{file}::{test}"
