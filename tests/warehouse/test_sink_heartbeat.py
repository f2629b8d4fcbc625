"""What the heartbeat of a sink tells, and as of when."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import pytest
from kafka import TopicPartition
from sqlalchemy import text

from consumers import sink
from segmenter import topics, warehouse
from segmenter.errors import Unreachable
from segmenter.settings import Settings
from segmenter.topics.caught_up import CaughtUp
from segmenter.warehouse import SinkHeartbeat, Warehouse
from segmenter.warehouse.engine import reading, writing
from tests.warehouse.test_sink import change, publish

Until = Callable[[Callable[[], object]], None]

OLD_MS = 100_000
SLOW_MS = 200


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("loaded", [False, True])
def test_a_heartbeat_renews_what_it_tells_and_nothing_else(database: Warehouse, at_end: bool, loaded: bool) -> None:
    """Each age is of its own event, and the end of the log as old as the question."""
    assert warehouse.read_sink_heartbeat(database) == SinkHeartbeat(None, None, None)
    warehouse.send_sink_heartbeat(database)
    first = warehouse.read_sink_heartbeat(database)
    assert first.beat_age_ms is not None and first[1:] == (None, None)
    warehouse.send_sink_heartbeat(database, warehouse.clock_ms(database), loaded=True)
    with writing(database) as connection:
        older = f"beat_ms = beat_ms - {OLD_MS}, caught_up_ms = caught_up_ms - {2 * OLD_MS}"
        connection.execute(text(f"UPDATE sink_heartbeat SET {older}, loaded_ms = loaded_ms - {3 * OLD_MS}"))
    asked_ms = warehouse.clock_ms(database) - SLOW_MS
    warehouse.send_sink_heartbeat(database, asked_ms if at_end else None, loaded)
    with reading(database) as connection:
        at_ms, beat_ms = connection.execute(text("SELECT caught_up_ms, beat_ms FROM sink_heartbeat")).one()
    beat_age, age, loaded_age = warehouse.read_sink_heartbeat(database)
    assert beat_age is not None and age is not None and loaded_age is not None
    assert beat_age < OLD_MS
    assert age - beat_age == beat_ms - at_ms
    assert at_ms == asked_ms if at_end else age - beat_age >= 2 * OLD_MS
    assert loaded_age == beat_age if loaded else loaded_age - beat_age >= 3 * OLD_MS


def test_an_answer_that_is_slow_makes_the_sink_no_fresher(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    """The end of the log that Kafka told is as old as the question; a sink that has not read up to it is not there.

    A sink has loaded when it has since the heartbeat before.
    """
    publish(settings)
    ask, answers = CaughtUp.moments_ms, list[bool]()

    def slowly(caught_up: CaughtUp[str], parts: Mapping[str, Sequence[TopicPartition]], now_ms: int) -> dict[str, int]:
        found = ask(caught_up, parts, now_ms)
        if found:
            since = time.monotonic()
            until(lambda: time.monotonic() - since >= SLOW_MS / 1_000)
        answers.append(bool(found))
        return found

    monkeypatch.setattr(CaughtUp, "moments_ms", slowly)
    monkeypatch.setattr(sink, "HEARTBEAT_SECONDS", 0.0)
    monkeypatch.setattr(sink, "MAX_RECORDS", 25)
    with warehouse.connect(settings) as database:
        sink.run(settings, once=False, stopping=lambda: bool(answers))
        assert answers == [False]
        assert warehouse.read_sink_heartbeat(database)[1:] == (None, None)
        sink.run(settings, once=False, stopping=lambda: answers[-1])
        beat_age, age, loaded_age = warehouse.read_sink_heartbeat(database)
        loaded = {at: position.next_pos for at, position in warehouse.loaded(database).items()}
    ends = topics.ends(settings, topics.event_topics(settings))
    assert loaded == {(topic.removeprefix(settings.topic_prefix), part): end for (topic, part), end in ends.items()}
    assert beat_age is not None and age is not None and age - beat_age >= SLOW_MS
    assert loaded_age == beat_age


def test_a_sink_that_waits_for_kafka_is_not_silent(
    database: Warehouse, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is told at each try that the sink is alive, and nothing of the log."""
    tries = 0

    def away(settings: Settings) -> dict[str, str]:
        nonlocal tries
        tries += 1
        assert warehouse.read_sink_heartbeat(database).beat_age_ms is not None
        change(settings, "DELETE FROM sink_heartbeat")
        raise Unreachable("Kafka is away")

    monkeypatch.setattr(topics, "topic_ids", away)
    monkeypatch.setattr(sink, "backoff_seconds", lambda failures: 0.0)
    sink.run(settings, once=False, stopping=lambda: tries == 3)
    assert tries == 3
