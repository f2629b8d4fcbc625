"""The schema: numbered files, recorded, safe to run again after stopping anywhere."""

from __future__ import annotations

import json
import re
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import sqlglot
from sqlalchemy import inspect, text

from segmenter import warehouse
from segmenter.errors import UsageError
from segmenter.events import Rules, type_of
from segmenter.kinds import BUILT_IN, DEFAULT, Kind, catalogue
from segmenter.model.profiles import fields
from segmenter.settings import Settings
from segmenter.warehouse import Warehouse, raw_columns, user_columns
from segmenter.warehouse.columns import cut_columns, value_columns
from segmenter.warehouse.engine import writing
from segmenter.warehouse.summary.work_tables import DISTINCT
from segmenter.warehouse.summary.work_tables import columns as summary_columns
from segmenter.warehouse.templates import statements
from tests import verbs
from tests.defaults import VIEW
from tests.threads import ENDS_SECONDS, Threads
from tests.warehouse.world import MIGRATIONS

SQL = Path(__file__).parents[2] / "sql"
KINDS = tuple(BUILT_IN.values())
OTHERS = {"migrations", "sink_offsets", "meta", "sink_heartbeat", "sink_gaps"} | {
    *("snapshots", "snapshot_cuts", "snapshot_shards", "generations", "cluster_runs", "cluster_members"),
    *("user_seen", "summary_offsets", "user_attributes", "attributes", "segment_actions"),
    *("recommendations", "recommendation_runs"),
    *("snapshot_removed", "segment_sizes", "segment_changes", "change_spans", "reconciliations"),
}
"""The tables whose columns depend on no kind of event."""

STATEMENTS = ("create", "drop", "alter", "insert", "update", "delete", "select", "union")
TEMPORARY = (
    "fresh_ids",
    "ids_again",
    "repeats",
    "by_source",
    "added",
    "seen_now",
    "unseen",
    "merged",
    "beyond",
    "recomputed",
    "moved",
)


def columns(warehouse: Warehouse) -> dict[str, set[str]]:
    """The columns of each table."""
    found = inspect(warehouse.engine)
    return {table: {column["name"] for column in found.get_columns(table)} for table in found.get_table_names()}


def written(kinds: tuple[Kind, ...]) -> dict[str, set[str]]:
    """The columns that are written, of each table that depends on the kinds."""
    raw = {f"raw_{kind.topic}": set(raw_columns(kind)) for kind in kinds}
    return raw | {"snapshot_users": {"snapshot_id", *user_columns(kinds)}, "user_summary": set(summary_columns(kinds))}


def test_asking_changes_nothing(empty: Warehouse) -> None:
    assert warehouse.applied(empty) == []
    assert warehouse.pending(empty) == MIGRATIONS
    assert inspect(empty.engine).get_table_names() == []


def test_migrating_twice_is_migrating_once(empty: Warehouse) -> None:
    assert warehouse.migrate(empty, now_ms=5) == MIGRATIONS
    assert warehouse.migrate(empty, now_ms=6) == []
    assert warehouse.applied(empty) == MIGRATIONS
    assert warehouse.pending(empty) == []


@pytest.mark.parametrize("stop_after", range(61))
def test_a_migration_that_stopped_half_way_is_finished(empty: Warehouse, stop_after: int) -> None:
    """After any of the statements; here there is one kind of event."""
    one = empty._replace(kinds=(VIEW,))
    names = [name for name in MIGRATIONS if "click" not in name and "search" not in name]
    to_come = warehouse.to_come(one, now_ms=5)
    assert len(to_come) == (60 if empty.engine.dialect.name == "sqlite" else 56)
    for statement in to_come[:stop_after]:
        with writing(one) as connection:
            connection.execute(text(statement))
    done = warehouse.applied(one)
    assert sorted(done + warehouse.migrate(one, now_ms=5)) == names
    found = columns(one)
    assert found.keys() == OTHERS | written((VIEW,)).keys()
    assert found | written((VIEW,)) == found


def test_two_may_migrate_at_once(empty: Warehouse, warehouse_url: str) -> None:
    """As sinks do that are started together: on an empty warehouse, and with each kind that is added."""
    together = Barrier(2, timeout=ENDS_SECONDS)

    def migrate(settings: Settings) -> None:
        with warehouse.connect(settings) as own:
            warehouse.pending(own)  # so that it is connected
            together.wait()
            warehouse.migrate(own, now_ms=5)

    for count in range(1, len(KINDS) + 1):
        settings = Settings(warehouse_url=warehouse_url, kinds=KINDS[:count])
        with Threads() as threads:
            threads.map(migrate, [settings, settings])
        assert warehouse.pending(empty._replace(kinds=settings.kinds)) == []
    assert columns(empty) | written(KINDS) == columns(empty)


@pytest.mark.parametrize("kinds", [DEFAULT, KINDS], ids=["by default", "all"])
def test_the_tables_have_the_columns_that_are_written(empty: Warehouse, kinds: tuple[Kind, ...]) -> None:
    database = empty._replace(kinds=kinds)
    warehouse.migrate(database, now_ms=5)
    found = columns(database)
    assert found.keys() == OTHERS | written(kinds).keys()
    assert found | written(kinds) == found
    for kind in kinds:
        assert set(type_of(kind).__struct_fields__) - {"currency"} <= set(raw_columns(kind))


def test_what_others_have_added_stays_in_what_analysts_read(empty: Warehouse) -> None:
    """Also when somebody migrates who does not know it."""
    click, search, view, purchase, social = KINDS
    one, another = empty._replace(kinds=(click, purchase)), empty._replace(kinds=(click, social))
    warehouse.migrate(one, now_ms=5)
    warehouse.claim_rules(one, Rules(4, kinds=one.kinds, currency="EUR"))
    warehouse.migrate(another, now_ms=6)
    found = {column["name"] for column in inspect(empty.engine).get_columns("user_activity_summary")}
    assert {"total_clicks", "total_purchases", "total_purchase_amount", "total_social_actions"} <= found
    assert not {search.summary_columns[0], view.summary_columns[0]} & found


def test_a_warehouse_without_the_schema_says_what_to_do(empty: Warehouse) -> None:
    with pytest.raises(UsageError, match="the warehouse is empty: run `segmenter sink --once`"):
        warehouse.require_schema(empty)
    warehouse.migrate(empty, now_ms=5)
    warehouse.require_schema(empty)
    with writing(empty) as connection:
        connection.execute(text("DELETE FROM migrations WHERE name = :name"), {"name": MIGRATIONS[-1]})
    with pytest.raises(UsageError, match=rf"lacks {re.escape(MIGRATIONS[-1])}: run `segmenter migrate`"):
        warehouse.require_schema(empty)


@pytest.mark.parametrize("path", sorted(SQL.glob("*.sql")), ids=lambda path: path.name)
def test_every_statement_is_mysql(path: Path) -> None:
    """Whichever kinds of events there are, and whatever is there already."""
    for kind in KINDS:
        for there in (set[str](), {*kind.fields[:1], *[feature.name for feature in kind.features[:1]]}):
            for choice in (True, False):
                for statement in statements(path.name, **context(kind, there, choice)):
                    statement = statement.replace("REPLACE INTO", "INSERT INTO")  # the parser does not know it
                    (parsed,) = sqlglot.parse(statement, read="mysql", error_level=sqlglot.ErrorLevel.RAISE)
                    assert parsed is not None and parsed.key in STATEMENTS
                    assert not [name for name in TEMPORARY if statement.count(f" {name} ") > 1], "MySQL forbids it"


def context(kind: Kind, there: set[str], choice: bool) -> dict[str, Any]:
    """What the templates have variables for."""
    topics = [kind.topic for kind in KINDS]
    return {
        **{"kinds": KINDS, "kind": kind, "columns": there, "raw_columns": {"part"}, "summary_columns": there},
        **{"users": "snapshot_users", "base_id": 6 if choice else 0, "same": "{} <=> {}"},
        **{"generation": 3, "base_generation": 2, "places": [7, 6]},
        **{"values": list(value_columns(KINDS)), "cut_columns": list(cut_columns(KINDS))},
        **{"snapshot_columns": {"base_id"} if choice else set(), "change_indexes": set()},
        **{
            "topics_of_0_1_0": topics,
            "now_ms": "1",
            "utc": "{}",
            "new_view": ["CREATE OR REPLACE VIEW {name} AS {query}"],
            "digest": "MD5({})",
            "distinct": DISTINCT,
        },
        **{"fields": fields(KINDS), "features": catalogue(KINDS), "part": 3, "duplicate_window": 9, "exact": 5},
        **{"ranges": dict.fromkeys(topics, (1, 2)), "cuts": dict.fromkeys(topics, 1), "back": choice},
        **{"places": dict.fromkeys(topics, (1, 2, 3)), "snapshot_id": 7 if choice else None, "moved": choice},
        **{"base": "user_summary", "every_column": "user_id, clicks", "some": choice, "timed": choice},
        **{"attributes": [warehouse.Attribute("groups", "date")], "run": choice, "value": "e.url"},
        **{"column": "number" if choice else None},
    }


def test_every_statement_may_be_run_twice(empty: Warehouse) -> None:
    warehouse.migrate(empty, now_ms=5)
    warehouse.begin(empty, {("views", 0): warehouse.Loaded("t1", 0)}, now_ms=6)
    warehouse.load(empty, {}, {("views", 0): warehouse.Move(0, 9)})
    for _ in range(2):
        with writing(empty) as connection:
            connection.execute(text("DELETE FROM migrations"))
        assert warehouse.migrate(empty, now_ms=7) == MIGRATIONS
        assert warehouse.recorded_gaps(empty) == [warehouse.Gap("views", 0, 0, 9, 0)]


def test_the_command_that_only_says_what_is_pending_changes_nothing(empty: Warehouse, warehouse_url: str) -> None:

    def migrate(*arguments: str) -> dict[str, list[str]]:
        environment = {"SEGMENTER_WAREHOUSE_URL": warehouse_url}
        done = verbs.run("migrate", "--json", *arguments, environment=environment)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    assert migrate("--pending") == {"done": [], "applied": [], "pending": MIGRATIONS}
    assert inspect(empty.engine).get_table_names() == []
    assert migrate() == {"done": MIGRATIONS, "applied": MIGRATIONS, "pending": []}
