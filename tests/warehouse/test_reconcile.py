"""Reconcile on a warehouse: equal when all is right, different for whatever is broken behind its back."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import text

from segmenter import warehouse
from segmenter.errors import RulesDiffer, SegmenterError, TopicRecreated, UsageError, WarehouseBehind
from segmenter.events import Event, Rules
from segmenter.events.sharding import shard_of
from segmenter.operations.comparison import Reconciliation
from segmenter.operations.reconcile import reconcile
from segmenter.settings import Settings
from segmenter.warehouse import Cut, UserRow, Warehouse
from segmenter.warehouse.engine import writing
from tests.defaults import TOPICS
from tests.threads import ENDS_SECONDS, Threads
from tests.warehouse.world import (
    PARTITIONS,
    WINDOW,
    Cuts,
    Log,
    ends,
    load,
    log_of,
    random_log,
    snapshot,
    summed,
    user_row,
)

USERS = ["Bob", "bob", "b\u00f3b", "bob ", "007", "7", "17850.0", "1e5", "-0", "\N{GHOST}", "Bob\0"]
"""Eleven users that some database would merge."""


@pytest.fixture
def settings(warehouse_url: str) -> Settings:
    return Settings(warehouse_url=warehouse_url, partitions=PARTITIONS, duplicate_window=WINDOW)


def stream_of(log: Log, shard_cuts: Cuts, ahead: int = 0) -> list[UserRow]:
    """Rows as a faultless stream has them, up to ``ahead`` offsets beyond the shards' cuts."""

    def cut(topic: str, part: int) -> int:
        return min(shard_cuts[topic, part] + ahead, len(log[topic, part]))

    return [
        user_row(user, profile, [cut(topic, shard_of(user, PARTITIONS)) for topic in TOPICS])
        for user, profile in summed(log, lambda user, topic, part: cut(topic, part)).items()
    ]


def invalid_records(database: Warehouse, statement: str, **values: object) -> None:
    """Change something behind everyone's back."""
    with writing(database) as connection:
        assert connection.execute(text(statement), values).rowcount == 1


def test_a_faultless_stream_equals_the_batch(database: Warehouse, settings: Settings) -> None:
    log = random_log(1)
    load(database, log)
    taken = snapshot(database, ends(log), stream_of(log, ends(log)))
    assert reconcile(settings) == (taken, Reconciliation(12, 0, 0, 0, ()))
    assert taken == (1, 1_000, 1, 12, 0)


def test_what_it_found_is_kept_unless_it_only_reads(database: Warehouse, settings: Settings) -> None:
    log = random_log(1)
    load(database, log)
    rows = stream_of(log, ends(log))
    for kept in (rows, [*rows[:-3], user_row(b"ghost", (1, 0, 0, 0, 0, 0, 0, 5, 5), (0,) * 3)]):
        snapshot(database, ends(log), kept)
        reconcile(settings)
        reconcile(settings, full=True)
    with warehouse.engine.reading(database) as connection:
        query = text("SELECT * FROM reconciliations ORDER BY snapshot_id")
        found = [tuple(row)[1:] for row in connection.execute(query)]
    assert found == [(1, 12, 0, 0, 0, 0, 0), (2, 9, 0, 3, 1, 0, 0)]


def test_rows_read_after_the_shards_offsets_may_be_ahead(database: Warehouse, settings: Settings) -> None:
    log = random_log(2)
    load(database, log)
    cuts = {partition: end // 2 for partition, end in ends(log).items()}
    snapshot(database, cuts, stream_of(log, cuts, ahead=9))
    result = reconcile(settings)[1]
    assert result.equal and result.compared == 12


def test_eleven_users_stay_eleven(database: Warehouse, settings: Settings) -> None:
    events = [(topic, Event(user, number, duration_ms=number)) for number, user in enumerate(USERS) for topic in TOPICS]
    log = log_of(events)
    load(database, log)
    snapshot(database, ends(log), stream_of(log, ends(log)))
    assert reconcile(settings)[1] == Reconciliation(11, 0, 0, 0, ())
    stored = {user for users in warehouse.snapshot_users(database, 1) for user, *_ in users}
    assert stored == {user.encode() for user in USERS}
    with warehouse.engine.reading(database) as connection:
        for topic in TOPICS:
            count = connection.execute(text(f"SELECT COUNT(DISTINCT user_id) FROM raw_{topic}")).scalar_one()
            assert count == 11


def test_a_deleted_raw_row_is_found_and_its_user_named(database: Warehouse, settings: Settings) -> None:
    log = log_of([("views", Event(f"u{number}", 5, duration_ms=70)) for number in range(20)] * 2)
    load(database, log)
    snapshot(database, ends(log), stream_of(log, ends(log)))
    assert reconcile(settings)[1].equal
    last = len(log["views", shard_of(b"u7", PARTITIONS)]) // 2
    invalid_records(database, "DELETE FROM raw_views WHERE user_id = :user AND pos < :last", user=b"u7", last=last)
    result = reconcile(settings)[1]
    assert (result.compared, result.differing, result.missing, result.extra) == (20, 1, 0, 0)
    assert result.examples[0].user == b"u7"
    differing = {"views": (2, 1), "views_timed": (2, 1), "view_ms": (140, 70), "total_views": (2, 1)}
    assert result.examples[0].fields == differing


def test_a_user_whom_the_stream_lost_is_missing(database: Warehouse, settings: Settings) -> None:
    log = random_log(3)
    load(database, log)
    rows = stream_of(log, ends(log))
    snapshot(database, ends(log), [row for row in rows if row[0] != b"u5"])
    result = reconcile(settings)[1]
    assert (result.compared, result.differing, result.missing, result.extra) == (11, 0, 1, 0)
    assert (result.examples[0].user, result.examples[0].verdict) == (b"u5", "missing")


def test_a_user_without_an_event_is_extra(database: Warehouse, settings: Settings) -> None:
    log = random_log(3)
    load(database, log)
    ghost = user_row(b"ghost", (1, 0, 0, 0, 0, 0, 0, 5, 5), (10**6,) * 3)
    warehouse.load(database, {}, {at: warehouse.Move(end, 10**6) for at, end in ends(log).items()})
    snapshot(database, ends(log), [*stream_of(log, ends(log)), ghost])
    result = reconcile(settings)[1]
    assert (result.differing, result.missing, result.extra) == (0, 0, 1)
    assert result.examples[0].user == b"ghost"


def test_two_users_merged_into_one_are_found(database: Warehouse, settings: Settings) -> None:
    log = log_of([("searches", Event(user, 5)) for user in USERS])
    load(database, log)
    snapshot(database, ends(log), stream_of(log, ends(log)))
    invalid_records(database, "UPDATE raw_searches SET user_id = :into WHERE user_id = :user", into=b"bob", user=b"Bob")
    result = reconcile(settings)[1]
    assert (result.compared, result.differing, result.missing, result.extra) == (10, 1, 0, 1)
    assert [example.user for example in result.examples] == [b"Bob", b"bob"]


def test_a_stream_that_lost_its_tail_is_found(database: Warehouse, settings: Settings) -> None:
    """The rows agree with their own offsets, but the shard claims to have read further."""
    log = random_log(4)
    load(database, log)
    before = {partition: end - 1 for partition, end in ends(log).items()}
    lost = [
        row[:-3] + tuple(len(log[t, shard_of(row[0], PARTITIONS)]) for t in TOPICS) for row in stream_of(log, before)
    ]
    snapshot(database, ends(log), lost)
    assert reconcile(settings)[1].differing > 0


def test_a_cut_that_is_off_by_one_is_found(database: Warehouse, settings: Settings) -> None:
    log = log_of([("clickstream", Event("u", number)) for number in range(5)])
    load(database, log)
    (row,) = stream_of(log, ends(log))
    snapshot(database, dict.fromkeys(log, 0), [(*row[:-3], 4, 0, 0)])
    assert reconcile(settings)[1].examples[0].fields == {"clicks": (5, 4), "last_ms": (4, 3), "total_clicks": (5, 4)}


def test_a_wrong_feature_beside_right_aggregates_is_found(database: Warehouse, settings: Settings) -> None:
    log = random_log(5)
    load(database, log)
    snapshot(database, ends(log), stream_of(log, ends(log)))
    invalid_records(
        database, "UPDATE snapshot_users SET mean_view_ms = mean_view_ms + 1 WHERE user_id = :user", user=b"u2"
    )
    assert list(reconcile(settings)[1].examples[0].fields) == ["mean_view_ms"]


@pytest.mark.parametrize("own", [False, True], ids=["the shard's cut", "a user's own cut"])
def test_a_warehouse_behind_the_snapshot_says_so(database: Warehouse, settings: Settings, own: bool) -> None:
    log = log_of([("views", Event("u42", number)) for number in range(9)])
    part = shard_of(b"u42", PARTITIONS)
    load(database, log, {**ends(log), ("views", part): 8})
    snapshot(database, dict.fromkeys(log, 0) if own else ends(log), stream_of(log, ends(log)) if own else [])
    with pytest.raises(WarehouseBehind, match=f"'views' partition {part} up to offset 9, loaded up to 8: run"):
        reconcile(settings)
    warehouse.load(database, {}, {("views", part): warehouse.Move(8, 9)})
    assert reconcile(settings)[1].compared == (1 if own else 0)


def test_it_compares_the_latest_snapshot_or_the_one_asked_for(database: Warehouse, settings: Settings) -> None:
    log = random_log(6)
    load(database, log)
    snapshot(database, ends(log), [])
    snapshot(database, ends(log), stream_of(log, ends(log)))
    assert reconcile(settings)[1].equal
    assert reconcile(settings, 1)[1].missing == 12
    with pytest.raises(UsageError, match="no snapshot 3, only 1 to 2"):
        reconcile(settings, 3)


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda database: None, "the warehouse is empty"),
        (lambda database: warehouse.migrate(database, 1), "no snapshot yet"),
    ],
)
def test_without_a_snapshot_it_says_what_to_run(
    empty: Warehouse, settings: Settings, prepare: Callable[[Warehouse], object], said: str
) -> None:
    prepare(empty)
    with pytest.raises(SegmenterError, match=said):
        reconcile(settings)


def test_other_rules_are_refused(database: Warehouse, settings: Settings) -> None:
    warehouse.claim_rules(database, Rules(partitions=99))
    log = random_log(6)
    load(database, log)
    snapshot(database, ends(log), [])
    with pytest.raises(RulesDiffer, match="partitions is 99 there and 3 here"):
        reconcile(settings)


def test_stream_and_batch_of_two_topics_of_one_name_are_not_compared(database: Warehouse, settings: Settings) -> None:
    log = random_log(6)
    load(database, log)
    cuts = {partition: Cut("another", end) for partition, end in ends(log).items()}
    warehouse.write_snapshot(database, 1_000, cuts, [], 0, None, {})
    with pytest.raises(TopicRecreated, match="its id is another, the stored offsets belong to t1"):
        reconcile(settings)


def test_a_snapshot_that_fails_leaves_nothing(database: Warehouse) -> None:
    log = random_log(6)
    rows = stream_of(log, ends(log))
    cuts = {partition: Cut("t1", end) for partition, end in ends(log).items()}
    with pytest.raises(SegmenterError):
        warehouse.write_snapshot(database, 1_000, cuts, [rows, rows[:1]], 1, "{}", {0: "{}"})
    with warehouse.engine.reading(database) as connection:
        for table in ("snapshots", "snapshot_cuts", "snapshot_shards", "snapshot_users", "generations"):
            assert connection.execute(text(f"SELECT COUNT(*) FROM {table}")).scalar_one() == 0


def test_snapshots_written_at_once_get_a_number_each(database: Warehouse) -> None:
    log = random_log(6)
    rows = stream_of(log, ends(log))
    taken = []
    start = threading.Barrier(4, timeout=ENDS_SECONDS)

    def write() -> None:
        start.wait()
        taken.append(snapshot(database, ends(log), rows))

    with Threads() as threads:
        threads.map(lambda _: write(), range(4))
    assert sorted(one.snapshot_id for one in taken) == [1, 2, 3, 4]
    assert {one.users for one in taken} == {12}
