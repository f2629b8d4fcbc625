"""`segmenter summary`: what it prints, and what it says when it cannot."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from subprocess import CompletedProcess

import pytest
from sqlalchemy import text

from segmenter import warehouse
from segmenter.events import Rules
from segmenter.settings import Settings
from segmenter.warehouse import Warehouse
from segmenter.warehouse.engine import writing
from tests import verbs
from tests.warehouse.activity import active_log, begin, load_up_to, summaries
from tests.warehouse.world import PARTITIONS, WINDOW, ends

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def run(warehouse_url: str) -> Run:
    environment = {
        "SEGMENTER_WAREHOUSE_URL": warehouse_url,
        "SEGMENTER_PARTITIONS": str(PARTITIONS),
        "SEGMENTER_DUPLICATE_WINDOW": str(WINDOW),
    }

    def summary(*words: str) -> CompletedProcess[str]:
        return verbs.run("summary", *words, environment=environment)

    return summary


def test_what_is_new_is_added_and_users_are_shown(database: Warehouse, run: Run) -> None:
    log = active_log(random.Random(4))
    begin(database, log)
    half = {at: len(records) // 2 for at, records in log.items()}
    load_up_to(database, log, half)
    first = json.loads(run("refresh", "--json").stdout)
    load_up_to(database, log, ends(log))
    second = run("refresh")
    assert second.stdout.startswith(f"{sum(map(events_of, log.values())) - first['events']} new raw events, ")
    assert "summing up raw events: " in second.stderr
    assert json.loads(run("refresh", "--json").stdout)["events"] == 0
    again = json.loads(run("refresh", "--rebuild", "--json").stdout)
    assert again["events"] == sum(map(events_of, log.values()))
    shown = json.loads(run("show", "u1", "nobody", "--json").stdout)["users"]
    assert shown["nobody"] is None
    assert {name: shown["u1"][name] for name in summaries(log, ends(log))["u1"]} == summaries(log, ends(log))["u1"]
    assert "'nobody': not in the summary\n" in run("show", "u1", "nobody").stdout
    with writing(database) as connection:
        assert connection.execute(text("DELETE FROM raw_views WHERE pos = 3")).rowcount > 0
    done = run("refresh")
    assert done.returncode == 1 and "NOT AS MANY AS WERE SUMMED UP" in done.stdout


def events_of(records: list[object]) -> int:
    return sum(event is not None for event in records)


def test_an_empty_warehouse_other_rules_and_nobody(empty: Warehouse, run: Run) -> None:
    done = run("refresh")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: the warehouse is empty: run `segmenter sink --once`")
    warehouse.migrate(empty, now_ms=1)
    warehouse.claim_rules(empty, Rules.of(Settings(partitions=7)))
    done = run("refresh")
    assert done.returncode == 2 and "partitions is 7 there and 3 here" in done.stderr
    assert "name at least one user" in run("show").stderr
