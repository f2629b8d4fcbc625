"""docs/from-the-seed.md: its statements print what it says, and the join inflates what the summary counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from segmenter.warehouse import Warehouse
from tests.docs.demo_warehouse import STATEMENT, demo_warehouse, printed

PAGE = Path(__file__).parents[2] / "docs" / "from-the-seed.md"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with demo_warehouse(tmp_path_factory.mktemp("demo")) as database:
        yield database


def test_each_statement_prints_what_the_page_says(demo: Warehouse) -> None:
    found = STATEMENT.findall(PAGE.read_text("utf-8"))
    assert len(found) == 4
    for statement, said in found:
        assert printed(demo, statement) == said


def test_the_join_inflates_and_the_summary_does_not(demo: Warehouse) -> None:
    """9 clicks, 6 searches and 7 views, as the raw tables have them each by itself."""
    alone = [
        printed(demo, f"SELECT COUNT(*) FROM raw_{topic} WHERE CAST(user_id AS CHAR) = 'u0'").split()[-1]
        for topic in ("clickstream", "searches", "views")
    ]
    assert alone == ["9", "6", "7"]
    joined = "raw_clickstream c JOIN raw_searches s ON s.user_id = c.user_id JOIN raw_views v ON v.user_id = c.user_id"
    assert printed(demo, f"SELECT COUNT(*) FROM {joined} WHERE CAST(c.user_id AS CHAR) = 'u0'").split()[-1] == "378"
    ours = "SELECT total_clicks, total_search_queries, total_views FROM user_activity_summary"
    assert printed(demo, f"{ours} WHERE CAST(user_id AS CHAR) = 'u0'").split()[-3:] == alone
