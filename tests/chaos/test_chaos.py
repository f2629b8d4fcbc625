"""The chaos finds out what is broken, and its schedule leaves nothing out."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from segmenter.crash_points import SINK_POINTS, WORKER_POINTS
from tests.chaos import events, parts
from tests.chaos.processes import run_apart
from tests.chaos.schedule import AT_ANY_TIME, kinds, schedule
from tests.loop.plainly import profiles_of


@pytest.mark.timeout(600)
def test_offsets_that_are_written_apart_from_their_rows_are_found_out(tmp_path: Path) -> None:
    """Redis loses the end of its file eight times; what was in a commit of its own is then missing."""
    ended = run_apart("tests.chaos", "--break offsets-apart --faults 8 --json", tmp_path)
    assert ended.code == 1, ended.log
    found = json.loads(ended.said)
    assert found["lost"] > 0 and found["counted_twice"] == 0 and found["commits_lost"] > 0
    assert "events were lost" in found["wrong"]


@pytest.mark.parametrize("which", ["embedded", "real"])
def test_a_schedule_holds_every_kind_and_every_step(which: parts.Which) -> None:
    """However few faults are asked for; the same seed gives the same order."""
    all_kinds = kinds(which, broken=False)
    few, many = (schedule(all_kinds, faults, random.Random(1)) for faults in (1, 60))
    assert sorted(few) == sorted(all_kinds) and len(many) == 60
    assert {f"worker at {point}" for point in WORKER_POINTS} | {f"sink at {point}" for point in SINK_POINTS} <= set(few)
    assert schedule(all_kinds, 60, random.Random(1)) == many
    assert set(kinds("real", broken=False)) >= AT_ANY_TIME


def test_pandas_and_plain_python_agree_on_the_file(tmp_path: Path) -> None:
    """Repeats count once, broken records not at all."""
    file = tmp_path / "events.jsonl"
    lines = events.write(file, 3_000, 200, seed=2)
    expected = events.expected(file)
    assert lines == expected.records > expected.events > 3_000 == sum(expected.counted.values())
    counted = [json.loads(line)["event"] for line in file.read_text("utf-8").splitlines()]
    plainly = profiles_of(message for message, event in zip(events.messages(file), counted, strict=True) if event)
    table = events.aggregates(events.counting(file))
    assert {user.encode(): tuple(row) for user, *row in table.itertuples()} == plainly
    assert expected.counted.keys() == plainly.keys()
