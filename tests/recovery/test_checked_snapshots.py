"""`snapshot --reconcile`: each snapshot is compared with the batch, and the exit code says whether all are equal."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from sqlalchemy import text

from consumers import sink, worker
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter import warehouse
from segmenter.operations import schedule
from segmenter.settings import Settings
from segmenter.warehouse.engine import writing

SNAPSHOT = [sys.executable, "-m", "segmenter", "snapshot"]
EQUAL = {"equal": True, "compared": 40, "differing": 0, "missing": 0, "extra": 0}


def spoil(settings: Settings) -> None:
    with warehouse.connect(settings) as database, writing(database) as connection:
        assert connection.execute(text("UPDATE user_summary SET clicks = clicks + 1 WHERE clicks > 9")).rowcount > 0


def test_each_is_compared_and_the_exit_code_tells(settings: Settings, environment: dict[str, str]) -> None:
    publish(settings, generate(300, 40, seed=1))
    worker.run(settings, once=True)
    sink.run(settings, once=True)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*SNAPSHOT, *words], env=environment, capture_output=True, text=True, timeout=120)

    plain = run("--json")
    assert json.loads(plain.stdout)["reconcile"] is None
    done = run("--reconcile", "--json")
    assert (done.returncode, json.loads(done.stdout)["reconcile"]) == (0, EQUAL)
    spoil(settings)
    done = run("--reconcile")
    assert done.returncode == 1
    assert "STREAM AND BATCH DIFFER: compared 40, differing " in done.stdout
    done = run("--every", "15 minutes")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--every is '15 minutes'; allowed: at least a second, such as 900, 90s, 15m or 1h." in done.stderr


def test_a_schedule_goes_on_after_one_that_differs_or_that_the_sink_has_not_come_to(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "WAIT_SECONDS", 0)
    publish(settings, generate(300, 40, seed=1))
    worker.run(settings, once=True)
    behind, differing, equal = [], [], []
    for done in schedule.take_every(0, settings, 2, lambda: bool(equal), check=True):
        if done.unknown:
            behind.append(done)
            sink.run(settings, once=True)
        elif done.holds and not differing:
            spoil(settings)
            differing.append(done)
        elif not done.holds:
            with warehouse.connect(settings) as database:
                warehouse.empty_summary(database)
            differing.append(done)
        else:
            equal.append(done)
    assert [len(behind), len(differing), len(equal)] == [1, 2, 1]
    assert "warehouse behind: snapshot 1 needs topic" in str(behind[0].unknown)
    assert behind[0].verdict is None and not behind[0].holds
