"""The tests that docs/guarantees.md and docs/outages.md name exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("page", "least"), [("guarantees.md", 15), ("outages.md", 10)])
def test_every_promise_names_a_test_that_is_there(page: str, least: int) -> None:
    lines = (ROOT / "docs" / page).read_text("utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith(("| promise", "| what", "| ---"))]
    assert len(rows) > least
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", row.split(" | ")[2])
        assert named, row
        for file, test in named:
            assert re.search(rf"^def {test or 'test_.*'}\(", (ROOT / file).read_text("utf-8"), re.M), f"{file}::{test}"
