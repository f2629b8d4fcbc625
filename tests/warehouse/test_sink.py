"""The sink on a running log: every event once, whatever happens to it."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections import Counter
from contextlib import closing

import pytest
from sqlalchemy import text

from consumers import sink
from segmenter import topics, warehouse
from segmenter.errors import LogTruncated, RulesDiffer, TopicRecreated
from segmenter.events import Event, encode, key_of
from segmenter.settings import Settings
from segmenter.warehouse.engine import reading, writing
from tests.defaults import TOPICS
from tests.threads import Threads

BROKEN = [b"[]", b"not JSON", b'{"user_id":7,"time_ms":1}', b""]


def publish(settings: Settings, events: int = 60) -> None:
    """Put events of some users, and broken records after them, in each topic."""
    topics.ensure_topics(settings)
    producer = topics.open_producer(settings)
    for topic in TOPICS:
        records = [Event(f"u{number % 7}", number, event_id=f"e{number}") for number in range(events)]
        values = [(key_of(event.user_id), encode(event)) for event in records]
        records = values + [(b"u1", value) for value in BROKEN]
        topics.produce_all(producer, settings, settings.topic_prefix + topic, records)
    producer.close()


def held(settings: Settings) -> dict[str, int]:
    """How many rows each raw table holds, and that no two are of one event."""
    counts = {}
    with warehouse.connect(settings) as database, reading(database) as connection:
        for topic in TOPICS:
            query = f"SELECT COUNT(*), COUNT(DISTINCT event_id) FROM raw_{topic}"
            rows, events = connection.execute(text(query)).one()
            assert rows == events
            counts[topic] = rows
    return counts


def change(settings: Settings, statement: str) -> None:
    with warehouse.connect(settings) as database, writing(database) as connection:
        connection.execute(text(statement))


def test_it_loads_events_counts_refusals_and_passes_over_them(settings: Settings) -> None:
    publish(settings)
    result = sink.run(settings, once=True)
    assert result.loaded == held(settings) == dict.fromkeys(TOPICS, 60)
    assert result.invalid == {"malformed": 9, "invalid": 3}
    with warehouse.connect(settings) as database:
        moved = {at: position.next_pos for at, position in warehouse.loaded(database).items()}
    ends = topics.ends(settings, topics.event_topics(settings))
    assert moved == {(topic.removeprefix(settings.topic_prefix), part): end for (topic, part), end in ends.items()}
    assert sum(moved.values()) == 3 * (60 + len(BROKEN))


def test_each_field_of_an_event_is_in_the_column_of_its_name(settings: Settings) -> None:
    """Beside the place and the time that the log gave to the record."""
    ids = {"user_id": "u1", "event_id": "e1", "session_id": "s1", "item_id": "i1"}
    texts = {"device": "mobile", "url": "/here", "referrer": "/there", "query": "anything", "properties": '{"x":1}'}
    fields = ids | texts | {"time_ms": 1, "duration_ms": 2, "properties": {"x": 1}}
    topic_ids = topics.ensure_topics(settings)
    with closing(topics.open_producer(settings)) as producer:
        for topic in TOPICS:
            records = [(b"u1", None), (b"u1", json.dumps(fields, separators=(",", ":")).encode())]
            topics.produce_all(producer, settings, settings.topic_prefix + topic, records)
    sink.run(settings, once=True)
    read = topics.read_to(settings, topics.beginnings(settings, topic_ids), topics.ends(settings, topic_ids))
    (*records,) = (record for batch in read for record in batch if record.value)
    wanted = {name: value.encode() for name, value in ids.items()} | texts | {"time_ms": 1, "duration_ms": 2}
    with warehouse.connect(settings) as database, reading(database) as connection:
        for topic in TOPICS:
            found = connection.execute(text(f"SELECT * FROM raw_{topic}")).mappings().one()
            (record,) = (each for each in records if each.topic == settings.topic_prefix + topic)
            place = {"part": record.partition, "pos": record.offset, "record_ms": record.timestamp}
            assert found == wanted | place | {"topic_id": topic_ids[record.topic]}
    assert len(records) == len(TOPICS)


def test_loading_again_loads_what_is_new(settings: Settings) -> None:
    publish(settings)
    sink.run(settings, once=True)
    again = sink.run(settings, once=True)
    assert (again.loaded, again.invalid) == ({}, {})
    topics_before = held(settings)
    publish(settings, events=0)
    assert sum(sink.run(settings, once=True).invalid.values()) == 3 * len(BROKEN)
    assert held(settings) == topics_before


def test_a_crash_between_two_transactions_loses_and_repeats_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(settings)
    monkeypatch.setattr(sink, "MAX_RECORDS", 25)
    crashes = 0
    while True:
        try:
            sink.run(settings, once=True, on_progress=_crash)
            break
        except _Crash:
            crashes += 1
    assert crashes >= 7
    assert held(settings) == dict.fromkeys(TOPICS, 60)


def test_two_sinks_at_once_load_each_event_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(settings)
    monkeypatch.setattr(sink, "MAX_RECORDS", 25)
    loaded: Counter[str] = Counter()
    refused: Counter[str] = Counter()

    def load() -> None:
        result = sink.run(settings, once=True)
        loaded.update(result.loaded)
        refused.update(result.invalid)

    with Threads() as threads:
        threads.map(lambda _: load(), range(2))
    assert held(settings) == loaded == dict.fromkeys(TOPICS, 60)
    assert sum(refused.values()) == 3 * len(BROKEN)


def test_it_ends_when_told_to(settings: Settings) -> None:
    publish(settings)
    done = threading.Event()
    remaining = 3 * (60 + len(BROKEN))

    def progress(records: int) -> None:
        nonlocal remaining
        remaining -= records
        if not remaining:
            done.set()

    assert sum(sink.run(settings, False, progress, done.is_set).loaded.values()) == 180


def test_a_topic_of_the_same_name_is_not_taken_for_the_loaded_one(settings: Settings) -> None:
    publish(settings)
    sink.run(settings, once=True)
    change(settings, "UPDATE sink_offsets SET topic_id = 'before' WHERE topic = 'views'")
    with pytest.raises(TopicRecreated, match=r"views' was recreated.*SEGMENTER_WAREHOUSE_URL"):
        sink.run(settings, once=True)


def test_an_offset_beyond_the_log_is_an_error(settings: Settings) -> None:
    publish(settings)
    sink.run(settings, once=True)
    change(settings, "UPDATE sink_offsets SET next_pos = 1000000 WHERE topic = 'views' AND part = 1")
    with pytest.raises(LogTruncated, match=r"offset 1000000 of topic .*views' partition 1 .* the log ends at \d+\."):
        sink.run(settings, once=True)


def test_other_rules_are_refused_before_anything_is_loaded(settings: Settings) -> None:
    publish(settings)
    sink.run(settings, once=True)
    other = dataclasses.replace(settings, duplicate_window=7)
    with pytest.raises(RulesDiffer, match="duplicate_window is 100000 there and 7 here"):
        sink.run(other, once=True)


class _Crash(Exception):
    pass


def _crash(records: int) -> None:
    raise _Crash
