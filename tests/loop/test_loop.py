"""The whole loop, from events on topics to a verdict, on small inputs whose answer is known."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from contextlib import closing

import pytest
from kafka import KafkaConsumer

from consumers import sink, worker
from segmenter import crash_points, topics, warehouse
from segmenter.client import SegmentClient
from segmenter.errors import LogTruncated, TopicRecreated
from segmenter.events import Event, encode
from segmenter.events.dead_letters import decode
from segmenter.operations import snapshot
from segmenter.operations.comparison import Reconciliation
from segmenter.operations.reconcile import reconcile
from segmenter.operations.status import read_status
from segmenter.settings import Settings
from segmenter.store.connection import connect
from segmenter.store.shards import read_shards
from tests.loop.helpers import START_MS, publish, publish_raw, rows, users_of

USERS = ["Bob", "bob", "bób", "bob ", "007", "7", "17850.0", "1e5", "-0", "🦆", "nul\0inside"]


def reconciled(settings: Settings) -> Reconciliation:
    sink.run(settings, once=True)
    snapshot.take(settings, START_MS)
    return reconcile(settings)[1]


def test_users_whose_ids_look_alike_stay_apart(settings: Settings) -> None:
    """Case, accents, spaces, digits and NUL: eleven users everywhere, each with its own number of clicks."""
    clicks = [Event(user, START_MS + n, duration_ms=n) for place, user in enumerate(USERS, 1) for n in range(place)]
    publish(settings, "clickstream", clicks)
    publish(settings, "searches", [Event(user, START_MS) for user in USERS])
    worker.run(settings, once=True)
    result = reconciled(settings)
    assert (result.compared, result.differing, result.missing, result.extra) == (11, 0, 0, 0)
    with SegmentClient(settings.redis_url, key_prefix=settings.key_prefix) as client:
        answers = client.lookup_many(USERS)
    assert [answer.aggregates["clicks"] for answer in answers] == list(range(1, 12))
    assert {answer.user for answer in answers} == set(USERS)


BROKEN: list[tuple[str, str, bytes | None, bytes | None]] = [
    ("not JSON", "malformed", b"u1", b"click!"),
    ("a JSON list", "malformed", b"u1", b"[1]"),
    ("no user", "invalid", b"u1", b'{"time_ms": 1}'),
    ("an empty user", "invalid", b"", b'{"user_id": "", "time_ms": 1}'),
    ("a number for a user", "invalid", b"7", b'{"user_id": 7, "time_ms": 1}'),
    ("a user of 10 kB", "invalid", b"u" * 10_000, json.dumps({"user_id": "u" * 10_000, "time_ms": 1}).encode()),
    ("a negative duration", "invalid", b"u1", b'{"user_id": "u1", "time_ms": 1, "duration_ms": -1}'),
    ("a textual duration", "invalid", b"u1", b'{"user_id": "u1", "time_ms": 1, "duration_ms": "9"}'),
    ("a time in the year 3000", "time_ahead", b"u1", b'{"user_id": "u1", "time_ms": 32503680000000}'),
    ("above 256 kB", "too_large", b"u1", b'{"user_id": "u1", "time_ms": 1, "query": "' + b"x" * 262_144 + b'"}'),
    ("a null value", "empty", b"u1", None),
    ("a key that is not the user", "wrong_key", b"u2", b'{"user_id": "u1", "time_ms": 1}'),
    ("a lone surrogate", "malformed", b"u1", b'{"user_id": "\\ud800", "time_ms": 1}'),
    (
        "properties that are no text",
        "malformed",
        b"u1",
        b'{"user_id": "u1", "time_ms": 1, "properties": {"x": "\xff"}}',
    ),
    ("properties that are a list", "invalid", b"u1", b'{"user_id": "u1", "time_ms": 1, "properties": [1]}'),
    ("nested without end", "malformed", b"u1", b'{"user_id": "u1", "x": ' + b"[" * 9_999 + b"]" * 9_999 + b"}"),
]


def test_an_invalid_record_becomes_a_dead_letter(settings: Settings) -> None:
    """Each is kept with its position and reason, counted once, and the events around it count."""
    publish(settings, "clickstream", [Event("u1", START_MS)])
    publish_raw(settings, "clickstream", [(key, value) for _, _, key, value in BROKEN])
    publish(settings, "clickstream", [Event("u1", START_MS + 1)])
    result = worker.run(settings, once=True)
    assert result.dead_letters == len(BROKEN)
    letters = list(read_dead_letters(settings).values())
    assert sorted(letter.reason for letter in letters) == sorted(reason for _, reason, _, _ in BROKEN)
    large = next(letter for letter in letters if letter.reason == "too_large")
    assert large.value is not None and large.sha256 is not None
    assert (len(large.value), large.length) == (4_096, len(BROKEN[9][3] or b""))
    assert rows(settings)[b"u1"].profile[0] == 2
    assert reconciled(settings).equal


def test_no_invalid_record_is_passed_over_before_its_dead_letter_is_there(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever dies right after a commit: each invalid record below the stored offsets is in the other topic."""
    one_by_one = dataclasses.replace(settings, commit_rows=1)
    users = users_of(settings, 0)
    records = [record for user in users[:4] for record in ((user, b"click!"), (user, encode(Event(user, START_MS))))]
    publish_raw(settings, "views", [(user.encode(), value) for user, value in records])
    invalid = {offset for offset, (_, value) in enumerate(records) if value == b"click!"}
    passed_over: list[set[int]] = []

    def look(point: crash_points.CrashPoint) -> None:
        if point == "commit":
            with closing(connect(settings)) as client:
                offsets = read_shards(client, settings)[0].offsets
            below = {offset for offset in invalid if offset < (offsets or {})["views"]}
            there = {letter.offset for letter in read_dead_letters(settings).values()}
            assert below <= there
            passed_over.append(below)

    with monkeypatch.context() as patch:
        patch.setattr(crash_points, "_watchers", [look])
        worker.run(one_by_one, once=True, may_refit=False)
    assert len(passed_over) >= 3 and passed_over[-1] == invalid


def read_dead_letters(settings: Settings) -> dict[bytes | None, topics.Record]:
    topic = [topics.dead_letter_topic(settings)]
    read = topics.read_to(settings, topics.beginnings(settings, topic), topics.ends(settings, topic))
    return {record.key: decode(record.value or b"") for records in read for record in records}


def test_a_repeated_event_counts_once_within_the_window(settings: Settings) -> None:
    """Live and in the batch alike, after a restart too; beyond the window it counts again."""
    one = Event("u1", START_MS, event_id="e1", duration_ms=10)
    publish(settings, "clickstream", [one, one, Event("u1", START_MS), Event("u1", START_MS)])
    worker.run(settings, once=True)
    publish(settings, "clickstream", [one])
    assert worker.run(settings, once=True).records == 1
    assert worker.run(settings, once=True).records == 0
    assert rows(settings)[b"u1"].profile[:3] == (3, 1, 10)
    assert reconciled(settings).equal


@pytest.mark.parametrize("window, counted", [(2, 2), (3, 1)])
def test_the_window_is_counted_in_offsets(
    settings: Settings, with_window: Callable[[Settings, int], Settings], window: int, counted: int
) -> None:
    narrow = with_window(settings, window)
    one, other = Event("u1", START_MS, event_id="e1"), Event("u1", START_MS, event_id="e2")
    publish(narrow, "views", [one, other, other, one])
    worker.run(narrow, once=True)
    assert rows(narrow)[b"u1"].profile[4] == counted + 1
    assert reconciled(narrow).equal


def test_a_row_deleted_behind_the_back_is_named(settings: Settings) -> None:
    """Reconcile compares with what the sink read, not with what the stream computed."""
    publish(settings, "views", [Event(f"u{n}", START_MS, duration_ms=5) for n in range(20)])
    worker.run(settings, once=True)
    assert reconciled(settings).equal
    with warehouse.connect(settings) as database, database.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM raw_views WHERE user_id = " + hexadecimal("u7"))
    result = reconcile(settings)[1]
    assert not result.equal
    assert [example.user for example in result.examples] == [b"u7"]


def hexadecimal(user: str) -> str:
    return f"x'{user.encode().hex()}'"


def test_a_log_that_ends_too_early_is_an_error(settings: Settings) -> None:
    """Offsets that the log has not reached belong to a log that has lost records: nothing is skipped silently."""
    publish(settings, "views", [Event(f"u{n}", START_MS) for n in range(20)])
    worker.run(settings, once=True)
    client = connect(settings)
    client.hset(f"{settings.key_prefix}:shard:0", "offsets", '{"clickstream":0,"searches":0,"views":1000}')
    client.close()
    with pytest.raises(LogTruncated, match=r"offset 1000 of topic .*views' partition 0 .* the log ends at"):
        worker.run(settings, once=True)


def test_a_recreated_topic_is_an_error(settings: Settings) -> None:
    publish(settings, "views", [Event("u1", START_MS)])
    with closing(topics.TopicGuard(settings)) as guard:
        guard.check(guard.ids())
        with pytest.raises(TopicRecreated, match="topic 'views' was recreated"):
            guard.check({"views": "another-id"})


def test_all_who_read_the_log_leave_out_what_was_not_committed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the rules say: worker, sink, and whoever looks for the log's end."""
    publish(settings, "views", [Event("u1", START_MS)])
    opened: list[KafkaConsumer] = []
    begin = KafkaConsumer.__init__

    def noted(consumer: KafkaConsumer, *topics: str, **options: object) -> None:
        opened.append(consumer)
        begin(consumer, *topics, **options)

    monkeypatch.setattr(KafkaConsumer, "__init__", noted)
    for use in (
        lambda: worker.run(settings, once=True, may_refit=False),
        lambda: sink.run(settings, once=True),
        lambda: read_status(settings),
        lambda: read_dead_letters(settings),
    ):
        before = len(opened)
        use()
        assert len(opened) > before
    assert {consumer.config["isolation_level"] for consumer in opened} == {"read_committed"}


def test_an_unknown_user_is_unknown(settings: Settings) -> None:
    """Nobody is an error, before and after there is anything."""
    with SegmentClient(settings.redis_url, key_prefix=settings.key_prefix) as client:
        before = client.lookup("nobody")
        publish(settings, "views", [Event("u1", START_MS)])
        worker.run(settings, once=True, may_refit=False)
        nobody, somebody = client.lookup_many(["nobody", "u1"])
    assert (before.segment, before.age_ms, before.stale) == ("unknown", None, True)
    assert (nobody.segment, nobody.aggregates) == ("unknown", {})
    assert somebody.aggregates["views"] == 1
    assert (somebody.segment, somebody.name) == ("unassigned", "Unassigned")
    assert somebody.features["mean_view_ms"] is None
    assert somebody.age_ms is not None and not somebody.stale
