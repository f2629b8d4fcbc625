"""Snapshots on a schedule, as the compose file has them taken."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing

from consumers import worker
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter import warehouse
from segmenter.settings import Settings
from segmenter.store.connection import connect
from segmenter.store.keys import Keys

Until = Callable[[Callable[[], object]], None]
COMMAND = [sys.executable, "-m", "segmenter", "snapshot", "--every", "1", "--keep", "2", "--json"]


def taken(settings: Settings) -> list[int]:
    """The numbers of the snapshots in the warehouse, from the earliest to the latest."""
    with warehouse.connect(settings) as database:
        latest = None if warehouse.pending(database) else warehouse.latest_snapshot(database)
        if latest is None:
            return []
        return [number for number in range(1, latest.snapshot_id + 1) if warehouse.snapshot_cuts(database, number)]


def test_a_snapshot_now_and_then_and_the_old_ones_go(
    settings: Settings, environment: dict[str, str], until: Until
) -> None:
    """Before a worker has written anything there is none yet; during a restore there is none either, and then again."""
    with (
        closing(connect(settings)) as client,
        subprocess.Popen(
            COMMAND, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as running,
    ):
        try:
            assert running.stderr is not None
            assert any("there is nothing to take a snapshot of" in line for line in running.stderr)
            publish(settings, generate(300, 40, seed=1))
            worker.run(settings, once=True)
            until(lambda: len(taken(settings)) == 2 and taken(settings)[0] > 2)
            client.hset(Keys(settings.key_prefix).meta(), "restoring", 1)
            assert any("holds only a part of snapshot 1" in line for line in running.stderr)
            before = taken(settings)[-1]
            client.hdel(Keys(settings.key_prefix).meta(), "restoring")
            until(lambda: taken(settings)[-1] > before)
            running.terminate()
            said, _ = running.communicate(timeout=60)
        finally:
            running.kill()
    assert running.returncode == 0
    reports = [json.loads(line) for line in said.splitlines()]
    assert [report["snapshot_id"] for report in reports] == list(range(1, len(reports) + 1))
    assert [report["removed"] for report in reports] == [[], [], *([number] for number in range(1, len(reports) - 1))]
    assert reports[-1]["users"] == 40


def test_one_snapshot_may_remove_older_ones_too(settings: Settings, environment: dict[str, str]) -> None:
    publish(settings, generate(300, 40, seed=1))
    worker.run(settings, once=True)
    for keep, left in (("3", [1]), ("3", [1, 2]), ("1", [3])):
        command = [sys.executable, "-m", "segmenter", "snapshot", "--keep", keep]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        assert taken(settings) == left
