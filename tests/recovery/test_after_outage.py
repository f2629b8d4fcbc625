"""The page docs/outages.md, case by case: an outage was longer than the retention of the log.

On real parts, since only there a log can be cut. Everything is done by the commands that the page names, and each error
must name the next one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from consumers import sink
from producers.messages import Message
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter import topics
from segmenter.errors import LogTruncated
from segmenter.events.sharding import shard_of
from segmenter.settings import Settings
from segmenter.topics.client import client_options
from tests.loop.helpers import age_heartbeats, counts, differences, profiles, remove_keys, rows
from tests.loop.plainly import counts_of, profiles_of

pytestmark = pytest.mark.parametrize("parts", ["real"], indirect=True)

USERS = 330
BEFORE, DURING, SINCE = (list(generate(size, USERS, seed=size)) for size in (1_500, 900, 600))
"""Events from before the outage, during it, and after it. The log loses the first, and half of the second."""

Places = dict[tuple[str, int], int]


class Ran(NamedTuple):
    """How a command ended."""

    code: int
    output: str
    error: str
    """The last line on standard error."""

    @property
    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(self.output)
        return report


class Commands:
    """Runs `segmenter` in an environment."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment

    def __call__(self, *words: str) -> Ran:
        command = [sys.executable, "-m", "segmenter", *words]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True)
        return Ran(done.returncode, done.stdout, (done.stderr.splitlines() or [""])[-1])

    def well(self, *words: str) -> Ran:
        """A command that must end with 0."""
        done = self(*words)
        assert done.code == 0, (words, done)
        return done


@pytest.fixture
def run(environment: dict[str, str]) -> Commands:
    return Commands(environment)


def lose(settings: Settings) -> Places:
    """Retention cuts each partition in the middle of the outage; returns where the log begins now."""
    ends = topics.ends(settings, topics.topic_ids(settings))
    cuts = {at: end * (len(BEFORE) + len(DURING) // 2) // (len(BEFORE) + len(DURING)) for at, end in ends.items()}
    with KafkaAdminClient(**client_options(settings)) as admin:
        admin.delete_records({TopicPartition(*at): cut for at, cut in cuts.items()})
    assert topics.beginnings(settings, topics.topic_ids(settings)) == cuts
    return {(topic.removeprefix(settings.topic_prefix), part): cut for (topic, part), cut in cuts.items()}


def held(messages: Sequence[Message], begins: Places, settings: Settings) -> list[Message]:
    """Those of all published messages that the log still holds."""
    ends: Places = dict.fromkeys(begins, 0)
    found = []
    for message in messages:
        at = message.topic, shard_of(message.key, settings.partitions)
        if ends[at] >= begins[at]:
            found.append(message)
        ends[at] += 1
    return found


def assert_holds(settings: Settings, events: Sequence[Message]) -> None:
    """Rows and counts are those of the events, and `verify` finds nothing."""
    assert profiles(settings) == profiles_of(events)
    assert counts(settings) == counts_of(events, settings.partitions)
    assert differences(settings) == []


def names(settings: Settings) -> set[str]:
    return {row.segment for row in rows(settings).values()}


def test_redis_is_empty_and_no_snapshot_fits(settings: Settings, run: Commands) -> None:
    """The sink has loaded what the log has lost. There was a snapshot, but the log no longer holds what follows it."""
    publish(settings, BEFORE)
    run.well("worker", "--once")
    run.well("snapshot")
    publish(settings, DURING)
    run.well("sink", "--once")
    lose(settings)
    publish(settings, SINCE)
    remove_keys(settings)
    done = run("worker", "--once")
    assert done.code == 1 and "and Redis knows nothing of the shard" in done.error
    for command in ("segmenter restore`", "segmenter restore --from-raw`", "segmenter worker --from-log-start`"):
        assert command in done.error
    done = run("restore")
    assert done.code == 1 and "or the raw events by --from-raw" in done.error
    assert run.well("restore", "--from-raw", "--json").report["to_come"] == len(SINCE)
    run.well("worker", "--once", "--no-refit")
    assert_holds(settings, [*BEFORE, *DURING, *SINCE])
    assert names(settings) == set(settings.segments), "judged by the model of the snapshot"
    run.well("sink", "--once")
    run.well("snapshot")
    run.well("reconcile")


def test_redis_is_empty_and_there_never_was_a_snapshot(settings: Settings, run: Commands) -> None:
    publish(settings, [*BEFORE, *DURING])
    run.well("sink", "--once")
    lose(settings)
    done = run("restore")
    assert done.code == 2 and "`segmenter restore --from-raw` needs none" in done.error
    run.well("restore", "--from-raw")
    run.well("worker", "--once")
    assert_holds(settings, [*BEFORE, *DURING])


def test_the_workers_were_away_and_the_sink_was_not(settings: Settings, run: Commands) -> None:
    """Redis is behind the log's beginning. Rows and segments stay, and what was missed comes from the warehouse."""
    publish(settings, BEFORE)
    run.well("worker", "--once")
    publish(settings, DURING)
    run.well("sink", "--once")
    begins = lose(settings)
    publish(settings, SINCE)
    done = run("worker", "--once")
    assert done.code == 1 and "must be read next, but the log begins at" in done.error
    assert "segmenter restore --from-raw`" in done.error and "segmenter worker --from-log-start`" in done.error
    run.well("worker", "--once", "--no-refit", "--from-log-start")
    everything = [*BEFORE, *DURING, *SINCE]
    assert_holds(settings, [*BEFORE, *held(everything, begins, settings)])
    run.well("sink", "--once")
    passes = run.well("reconcile", "--repair", "--json").report["passes"]
    assert passes[0]["repaired"] > 0 and passes[0]["repaired_counts"] == settings.partitions
    assert_holds(settings, everything)
    run.well("verify")
    assert names(settings) == set(settings.segments)


def test_the_workers_were_away_and_are_replaced_by_the_raw_events(settings: Settings, run: Commands) -> None:
    """The other way out of the same: what Redis holds is removed."""
    publish(settings, BEFORE)
    run.well("worker", "--once")
    publish(settings, DURING)
    run.well("sink", "--once")
    lose(settings)
    age_heartbeats(settings)
    done = run("restore", "--from-raw")
    assert done.code == 2 and "`segmenter restore --replace` removes them first" in done.error
    run.well("restore", "--from-raw", "--replace")
    run.well("worker", "--once")
    assert_holds(settings, [*BEFORE, *DURING])


def test_the_sink_was_away_and_the_workers_were_not(settings: Settings, run: Commands) -> None:
    """The gap is recorded. From then on reconcile names it and who differs because of it, and repairs nobody there."""
    publish(settings, BEFORE)
    run.well("sink", "--once")
    publish(settings, DURING)
    run.well("worker", "--once")
    begins = lose(settings)
    publish(settings, SINCE)
    done = run("sink", "--once")
    assert done.code == 1 and "but the log begins at" in done.error and "`segmenter sink --skip-gap`" in done.error
    run.well("sink", "--once", "--skip-gap")
    run.well("sink", "--once")
    run.well("worker", "--once")
    everything = [*BEFORE, *DURING, *SINCE]
    assert_holds(settings, everything)
    run.well("snapshot")
    done = run("reconcile", "--json")
    assert done.code == 1
    gaps = {(gap["topic"], gap["part"]): (gap["first_pos"], gap["end_pos"]) for gap in done.report["gaps"]}
    in_warehouse = [*BEFORE, *held(everything, begins, settings)]
    ends = {at: sum((message.topic, shard_of(message.key, 2)) == at for message in BEFORE) for at in begins}
    assert gaps == {at: (ends[at], begin) for at, begin in begins.items()}
    whole, known = profiles_of(everything), profiles_of(in_warehouse)
    lacking = [user for user in whole if whole[user] != known.get(user)]
    found = done.report
    assert found["differing"] + found["extra"] == found["in_gaps"] == len(lacking) > 0 and not found["missing"]
    said = run("reconcile").output
    assert "the warehouse lacks offsets" in said and "may do so because of that" in said
    done = run("reconcile", "--repair", "--json")
    assert done.code == 1 and [each["repaired"] for each in done.report["passes"]] == [0]
    assert_holds(settings, everything)


def test_a_sink_that_retention_overtakes_says_what_to_do(
    settings: Settings, run: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it runs: more comes than it can read, and is lost. It ends, and goes on with a gap when asked to."""
    monkeypatch.setattr(sink, "MAX_RECORDS", 100)
    publish(settings, BEFORE)

    def overtaken(records: int) -> None:
        if not topics.beginnings(settings, [f"{settings.topic_prefix}views"])[f"{settings.topic_prefix}views", 0]:
            bulky = {"properties": {"text": "x" * 4_000}}
            for _ in range(3):
                publish(settings, [_with(message, bulky) for message in generate(2_000, USERS, seed=9)])
            lose(settings)

    with pytest.raises(
        LogTruncated, match=r"but the log begins at \d+\. Go on after that by `segmenter sink --skip-gap`"
    ):
        sink.run(settings, False, overtaken)
    assert run("sink", "--once").code == 1
    run.well("sink", "--once", "--skip-gap")


def _with(message: Message, fields: dict[str, Any]) -> Message:
    return message._replace(value=json.dumps({**json.loads(message.value or b""), **fields}).encode())


def test_everything_was_away(settings: Settings, run: Commands) -> None:
    """Both lack the same events, so they are equal; what only comes later is compared."""
    publish(settings, BEFORE)
    run.well("worker", "--once")
    run.well("sink", "--once")
    publish(settings, DURING)
    begins = lose(settings)
    run.well("sink", "--once", "--skip-gap")
    run.well("worker", "--once", "--no-refit", "--from-log-start")
    left = [*BEFORE, *held([*BEFORE, *DURING], begins, settings)]
    assert_holds(settings, left)
    run.well("snapshot")
    assert run.well("reconcile", "--json").report["gaps"] == []
    publish(settings, SINCE)
    run.well("worker", "--once", "--no-refit")
    run.well("sink", "--once")
    run.well("snapshot")
    assert run.well("reconcile", "--json").report["compared"] == len(profiles_of([*left, *SINCE]))


def test_everything_was_away_and_redis_is_empty(settings: Settings, run: Commands) -> None:
    publish(settings, BEFORE)
    run.well("sink", "--once")
    publish(settings, DURING)
    begins = lose(settings)
    done = run("restore", "--from-raw")
    assert done.code == 1 and "segmenter sink --once --skip-gap`, which records the gap" in done.error
    run.well("sink", "--once", "--skip-gap")
    assert len(run.well("restore", "--from-raw", "--json").report["gaps"]) == len(begins)
    run.well("worker", "--once")
    assert_holds(settings, [*BEFORE, *held([*BEFORE, *DURING], begins, settings)])


def test_there_is_neither_warehouse_nor_snapshot(settings: Settings, run: Commands) -> None:
    """The workers were away: their rows stay. Redis is empty: it begins where the log does."""
    publish(settings, BEFORE)
    run.well("worker", "--once")
    publish(settings, DURING)
    begins = lose(settings)
    everything = [*BEFORE, *DURING]
    run.well("worker", "--once", "--from-log-start")
    assert_holds(settings, [*BEFORE, *held(everything, begins, settings)])
    remove_keys(settings)
    assert run("worker", "--once").code == 1
    run.well("worker", "--once", "--from-log-start")
    assert_holds(settings, held(everything, begins, settings))


def test_a_system_that_begins_late_is_equal_from_there(settings: Settings, run: Commands) -> None:
    """Worker and sink are new, the topics are not: what was before belongs to neither and is not a gap between them."""
    publish(settings, [*BEFORE, *DURING])
    begins = lose(settings)
    run.well("worker", "--once", "--from-log-start")
    run.well("sink", "--once")
    run.well("snapshot")
    assert run.well("reconcile", "--json").report["gaps"] == []
    assert_holds(settings, held([*BEFORE, *DURING], begins, settings))


def test_a_sink_that_begins_late_spoils_nothing(settings: Settings, run: Commands) -> None:
    """A new database beside a Redis that knows everything: a repair must not take from Redis what only it has."""
    publish(settings, BEFORE)
    run.well("worker", "--once")
    publish(settings, DURING)
    run.well("worker", "--once")
    begins = lose(settings)
    run.well("sink", "--once")
    done = run("reconcile", "--repair", "--json")
    assert done.code == 1 and len(done.report["gaps"]) == len(begins)
    assert_holds(settings, [*BEFORE, *DURING])
