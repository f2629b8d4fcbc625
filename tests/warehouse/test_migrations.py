"""The schema: numbered files, recorded, safe to run again after stopping anywhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
import sqlglot
from sqlalchemy import inspect, text

from segmenter import warehouse
from segmenter.errors import UsageError
from segmenter.events import Event
from segmenter.warehouse import Warehouse
from segmenter.warehouse.engine import dialect, writing
from segmenter.warehouse.migrations import names, statements
from tests.defaults import RAW_COLUMNS, TOPICS, USER_COLUMNS


def test_asking_changes_nothing(empty: Warehouse) -> None:
    assert warehouse.applied(empty) == []
    assert warehouse.pending(empty) == names()
    assert inspect(empty).get_table_names() == []


def test_migrating_twice_is_migrating_once(empty: Warehouse) -> None:
    assert warehouse.migrate(empty, now_ms=5) == names()
    assert warehouse.migrate(empty, now_ms=6) == []
    assert warehouse.applied(empty) == names()
    assert warehouse.pending(empty) == []


@pytest.mark.parametrize("stop_after", range(6))
def test_a_file_that_stopped_half_way_is_finished(empty: Warehouse, stop_after: int) -> None:
    first = names()[0]
    with writing(empty) as connection:
        for statement in statements(first)[:stop_after]:
            connection.execute(text(f"{statement} {dialect(connection).table_options}"))
    assert warehouse.migrate(empty, now_ms=5) == names()
    assert set(inspect(empty).get_table_names()) == {"migrations", *_tables()}


def test_the_tables_have_the_columns_that_are_written(database: Warehouse) -> None:
    def columns(table: str) -> set[str]:
        return {column["name"] for column in inspect(database).get_columns(table)}

    assert all(columns(f"raw_{topic}") == set(RAW_COLUMNS) for topic in TOPICS)
    assert set(Event.__struct_fields__) <= set(RAW_COLUMNS)
    assert columns("snapshot_users") == {"snapshot_id", *USER_COLUMNS}


def test_a_warehouse_without_the_schema_says_what_to_do(empty: Warehouse) -> None:
    with pytest.raises(UsageError, match="the warehouse is empty: run `segmenter sink --once`"):
        warehouse.require_schema(empty)
    warehouse.migrate(empty, now_ms=5)
    warehouse.require_schema(empty)
    with writing(empty) as connection:
        connection.execute(text("DELETE FROM migrations WHERE name = :name"), {"name": names()[-1]})
    with pytest.raises(UsageError, match=rf"lacks {re.escape(names()[-1])}: run `segmenter migrate`"):
        warehouse.require_schema(empty)


@pytest.mark.parametrize("name", [*names(), "summary.sql", "counts.sql"])
def test_every_statement_is_mysql(name: str) -> None:
    assert statements(name)
    for statement in statements(name):
        (parsed,) = sqlglot.parse(statement, read="mysql", error_level=sqlglot.ErrorLevel.RAISE)
        assert parsed is not None and parsed.key in ("create", "insert", "select")


def test_every_statement_may_be_run_twice(empty: Warehouse) -> None:
    warehouse.migrate(empty, now_ms=5)
    warehouse.begin(empty, {("views", 0): warehouse.Loaded("t1", 0)}, now_ms=6)
    warehouse.load(empty, {}, {("views", 0): warehouse.Move(0, 9)})
    for _ in range(2):
        with writing(empty) as connection:
            connection.execute(text("DELETE FROM migrations"))
        assert warehouse.migrate(empty, now_ms=7) == names()
        assert warehouse.recorded_gaps(empty) == [warehouse.Gap("views", 0, 0, 9, 0)]


def _tables() -> list[str]:
    found = [re.findall(r"^CREATE TABLE IF NOT EXISTS (\w+)", each) for name in names() for each in statements(name)]
    return [table for tables in found for table in tables]


def test_the_command_that_only_says_what_is_pending_changes_nothing(empty: Warehouse, warehouse_url: str) -> None:
    environment = os.environ | {"SEGMENTER_WAREHOUSE_URL": warehouse_url}

    def migrate(*arguments: str) -> dict[str, list[str]]:
        command = [sys.executable, "-m", "segmenter", "migrate", "--json", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return dict(json.loads(done.stdout))

    assert migrate("--pending") == {"done": [], "applied": [], "pending": names()}
    assert inspect(empty).get_table_names() == []
    assert migrate() == {"done": names(), "applied": names(), "pending": []}
