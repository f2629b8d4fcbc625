"""The tests that docs/guarantees.md and docs/outages.md name exist, and so do the mutants that turn them red."""

import re
from pathlib import Path

import pytest

from tests.mutants.mutant import every_mutant

ROOT = Path(__file__).parents[2]


def cells(page: str) -> list[list[str]]:
    """The rows of the page's tables, each as its cells."""
    lines = (ROOT / "docs" / page).read_text("utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith(("| promise", "| what", "| ---"))]
    return [row.strip("| ").split(" | ") for row in rows]


def named_in(cell: str) -> list[tuple[str, str]]:
    """The file and, if it is named, the function of each test in a cell."""
    return re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", cell)


@pytest.mark.parametrize(("page", "least"), [("guarantees.md", 15), ("outages.md", 10)])
def test_every_promise_names_a_test_that_is_there(page: str, least: int) -> None:
    rows = cells(page)
    assert len(rows) > least
    for row in rows:
        named = named_in(row[2])
        assert named, row
        for file, test in named:
            assert re.search(rf"^def {test or 'test_.*'}\(", (ROOT / file).read_text("utf-8"), re.M), f"{file}::{test}"


def test_every_promise_names_a_mutant_that_its_test_kills() -> None:
    known = {mutant.name: mutant for mutant in every_mutant()}
    for promise, _, tests, mutants in cells("guarantees.md"):
        files = {file for file, _ in named_in(tests)}
        named = re.findall(r"`([\w-]+)`", mutants)
        assert named, promise
        for name in named:
            assert files & {test.split("::")[0] for test in known[name].killed_by}, f"{promise} {name}"
