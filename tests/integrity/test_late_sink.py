"""`reconcile --repair` beside a sink that is late: it waits for it, and takes nothing away that only the stream has."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

from consumers import sink, worker
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter import topics, warehouse
from segmenter.operations.reconcile import reconcile_and_repair
from segmenter.settings import Settings
from tests.loop.helpers import START_MS, age_heartbeats, counts, profiles
from tests.loop.plainly import counts_of, profiles_of

Until = Callable[[Callable[[], object]], None]
EVENTS = list(generate(400, 60, seed=1))


def test_a_shard_with_a_hole_in_its_proof_is_left_as_it_is(settings: Settings) -> None:
    """The sink began when the log had lost the first views of one shard; the stream has them, and keeps them."""
    publish(settings, EVENTS)
    worker.run(settings, once=True)
    ids = topics.topic_ids(settings)
    topic = f"{settings.topic_prefix}views"
    begin = topics.ends(settings, ids)[topic, 1] // 2
    with warehouse.connect(settings) as database:
        warehouse.migrate(database, START_MS)
        warehouse.begin(database, {("views", 1): warehouse.Loaded(ids[topic], begin)}, START_MS)
    sink.run(settings, once=True)
    age_heartbeats(settings)
    (only,) = reconcile_and_repair(settings, wait_s=0)
    assert [(gap.topic, gap.part, gap.end_pos) for gap in only.result.gaps] == [("views", 1, begin)]
    assert only.result.differs and (only.repaired, only.repaired_counts) == (0, 0)
    assert profiles(settings) == profiles_of(EVENTS)
    assert counts(settings) == counts_of(EVENTS, settings.partitions)


def test_a_repair_waits_for_the_sink_as_long_as_asked(
    settings: Settings, environment: dict[str, str], until: Until
) -> None:
    publish(settings, EVENTS)
    worker.run(settings, once=True)
    command = [sys.executable, "-m", "segmenter", "reconcile", "--repair", "--wait", "100", "--json"]

    def has_begun() -> bool:
        """Its snapshot is there, which it compares with what the sink has loaded."""
        with warehouse.connect(settings) as database:
            return not warehouse.pending(database) and warehouse.latest_snapshot(database) is not None

    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as running:
        try:
            until(has_begun)
            sink.run(settings, once=True)
            report, _ = running.communicate(timeout=60)
        finally:
            running.kill()
    assert running.returncode == 0
    assert json.loads(report)["passes"] == [
        {"compared": 60, "differing": 0, "missing": 0, "extra": 0, "repaired": 0, "moved_on": 0, "repaired_counts": 0}
    ]
