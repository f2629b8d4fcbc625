"""Reconcile by the batch summary proves as much as from scratch, wherever the summary stands."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
import sqlalchemy
from sqlalchemy import text

from segmenter import warehouse
from segmenter.errors import Fenced, RulesDiffer
from segmenter.events import Event, Rules
from segmenter.events.sharding import shard_of
from segmenter.kinds import BUILT_IN
from segmenter.operations.both_sides import read_both_sides
from segmenter.operations.comparison import Reconciliation
from segmenter.operations.reconcile import reconcile
from segmenter.settings import Settings
from segmenter.shards.state import Counts
from segmenter.warehouse import Cut, Partition, UserRow, Warehouse
from segmenter.warehouse.engine import reading, writing
from segmenter.warehouse.summary import compare
from tests.defaults import FIELDS, TOPICS
from tests.warehouse.activity import begin, load_up_to
from tests.warehouse.world import (
    PARTITIONS,
    WINDOW,
    Cuts,
    Log,
    batch_counts,
    ends,
    load,
    log_of,
    random_log,
    snapshot,
    summed,
    user_row,
)

MANY = 10**6


@pytest.fixture
def settings(warehouse_url: str) -> Settings:
    return Settings(warehouse_url=warehouse_url, partitions=PARTITIONS, duplicate_window=WINDOW)


def stream(log: Log, shards: Cuts, rng: random.Random, users: int = 12) -> list[UserRow]:
    """Rows of a stream at these cuts, each of which may have gone further meanwhile."""
    own: dict[bytes, dict[str, int]] = {}
    for user in (f"u{number}".encode() for number in range(users)):
        part = shard_of(user, PARTITIONS)
        own[user] = {
            topic: rng.choice([shards[topic, part], rng.randrange(shards[topic, part], len(log[topic, part]) + 1)])
            for topic in TOPICS
        }
    profiles = summed(log, lambda user, topic, part: own[user][topic])
    return [user_row(user, profile, [own[user][topic] for topic in TOPICS]) for user, profile in profiles.items()]


def anywhere(log: Log, rng: random.Random) -> dict[Partition, int]:
    return {at: rng.randrange(len(records) + 1) for at, records in log.items()}


@pytest.mark.parametrize("seed", range(15))
def test_wherever_the_summary_stands(database: Warehouse, settings: Settings, seed: int) -> None:
    """Before the snapshot's cuts, at them or beyond, differently in each partition; and whoever differs is found."""
    rng = random.Random(seed)
    log = random_log(seed)
    load(database, log)
    warehouse.refresh_summary(database, WINDOW, anywhere(log, rng))
    shards = anywhere(log, rng)
    rows = stream(log, shards, rng)
    taken = snapshot(database, shards, rows)
    sides = read_both_sides(settings, None, 0)
    result = sides.compared()
    assert (result.compared, result.differing, result.missing, result.extra) == (len(rows), 0, 0, 0)
    assert not result.full
    assert {part: each for part, each in sides.batch_counts.items() if any(each)} == {
        part: each for part, each in batch_counts(database, taken.snapshot_id, WINDOW).items() if any(each)
    }
    spoilt = list(rows)
    spoilt[0] = (*spoilt[0][:2], spoilt[0][2] + 1, *spoilt[0][3:])
    snapshot(database, shards, [*spoilt[:-1], user_row(b"ghost", (1, 0, 0, 0, 0, 0, 0, 5, 5), (0,) * 3)])
    result = reconcile(settings)[1]
    assert (result.compared, result.differing, result.missing, result.extra) == (len(rows) - 1, 1, 1, 1)
    assert result == reconcile(settings, full=True)[1]._replace(full=False)


def test_only_new_raw_events_are_read(database: Warehouse, settings: Settings) -> None:
    """Another number in an old one is not noticed, but by --full, which reads them all and writes nothing."""
    log = random_log(3)
    begin(database, log)
    half = {at: len(records) // 2 for at, records in log.items()}
    load_up_to(database, log, half)
    snapshot(database, half, at(log, half))
    assert reconcile(settings)[1].equal
    with writing(database) as connection:
        changed = connection.execute(text("UPDATE raw_views SET duration_ms = duration_ms + 1 WHERE pos < 5")).rowcount
    assert changed
    load_up_to(database, log, ends(log))
    snapshot(database, ends(log), at(log, ends(log)))
    assert reconcile(settings)[1].equal
    stands = summary(database)
    result = reconcile(settings, full=True)[1]
    assert result.full and result.differing > 0
    assert summary(database) == stands


def at(log: Log, cuts: Cuts) -> list[UserRow]:
    """The rows of a stream that stands at these cuts."""
    profiles = summed(log, lambda user, topic, part: cuts[topic, part])
    places = {user: [cuts[topic, shard_of(user, PARTITIONS)] for topic in TOPICS] for user in profiles}
    return [user_row(user, profile, places[user]) for user, profile in profiles.items()]


def summary(database: Warehouse) -> list[tuple[object, ...]]:
    with reading(database) as connection:
        return sorted(map(tuple, connection.execute(text("SELECT * FROM user_summary"))))


@pytest.mark.parametrize(
    "spoil",
    [
        "DELETE FROM raw_views WHERE pos = (SELECT p FROM (SELECT MIN(pos) AS p FROM raw_views) x)",
        "INSERT INTO raw_views (part, pos, topic_id, user_id, time_ms, record_ms) "
        "SELECT part, pos + 1000000, topic_id, user_id, time_ms, record_ms FROM raw_views WHERE pos = 3",
    ],
)
def test_raw_events_that_are_gone_or_new_are_noticed(database: Warehouse, settings: Settings, spoil: str) -> None:
    """There are not as many as were summed up: then all are summed up anew, and whose they are is found."""
    log = random_log(3)
    load(database, log)
    warehouse.load(database, {}, {where: warehouse.Move(end, 2 * MANY) for where, end in ends(log).items()})
    cuts = dict.fromkeys(log, 2 * MANY)
    snapshot(database, cuts, [row[:-3] + (2 * MANY,) * 3 for row in at(log, ends(log))])
    assert reconcile(settings)[1].equal
    with writing(database) as connection:
        assert connection.execute(text(spoil)).rowcount > 0
    result = reconcile(settings)[1]
    assert result.full and result.differing > 0


def test_a_ratio_is_divided_as_the_stream_divides_it(database: Warehouse, settings: Settings) -> None:
    """To the last bit."""
    log = random_log(4)
    load(database, log)
    rows = at(log, ends(log))
    snapshot(database, ends(log), rows)
    with writing(database) as connection:
        connection.execute(text("UPDATE snapshot_users SET mean_view_ms = mean_view_ms * 1.0000000000000003"))
    means = [row[2 + len(FIELDS) + 4] for row in rows]
    changed = [mean for mean in means if mean is not None and mean * 1.0000000000000003 != mean]
    assert reconcile(settings)[1].differing == len(changed) > 5


def test_means_of_large_sums_are_compared_by_python(
    database: Warehouse, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "_EXACT", 1)
    log = random_log(4)
    load(database, log)
    snapshot(database, ends(log), at(log, ends(log)))
    assert reconcile(settings)[1].equal


def test_a_kind_that_was_added_after_the_snapshot_is_in_none_of_its_rows(
    database: Warehouse, settings: Settings, warehouse_url: str
) -> None:
    """Its events have been summed up, but they are beyond a cut of 0."""
    log = random_log(6)
    load(database, log)
    snapshot(database, ends(log), at(log, ends(log)))
    kinds = (*database.kinds, BUILT_IN["social"])
    more = database._replace(kinds=kinds)
    warehouse.migrate(more, now_ms=2)
    warehouse.begin(more, {("social_actions", part): warehouse.Loaded("t1", 0) for part in range(PARTITIONS)}, 7)
    part = shard_of(b"u1", PARTITIONS)
    raw = [(part, pos, "t1", user, 1, 1, *(None,) * 9) for pos, user in enumerate([b"u1", b"new"])]
    warehouse.load(more, {"social_actions": raw}, {("social_actions", part): warehouse.Move(0, 2)})
    warehouse.refresh_summary(more, WINDOW)
    own = Settings(warehouse_url=warehouse_url, partitions=PARTITIONS, duplicate_window=WINDOW, kinds=kinds)
    assert reconcile(own)[1].equal
    stands = summary(database)
    sides = read_both_sides(own, None, 0, kinds=database.kinds)
    assert sides.compared().equal and summary(database) == stands, "as --repair compares before it is in force"
    warehouse.claim_rules(more, Rules.of(own))
    load_more = {at: end + 1 for at, end in ends(log).items()}
    warehouse.load(more, {}, {at: warehouse.Move(end - 1, end) for at, end in load_more.items()})
    with pytest.raises(RulesDiffer, match="kinds"):
        warehouse.refresh_summary(database, WINDOW)
    assert summary(database) == stands, "who does not know all kinds writes nothing"


def test_what_the_shards_have_counted_is_compared_with_the_summary(database: Warehouse, settings: Settings) -> None:
    log = random_log(7)
    load(database, log)
    right = batch_counts(database, snapshot(database, ends(log), at(log, ends(log))).snapshot_id, WINDOW)
    cuts = {partition: Cut("t1", pos) for partition, pos in ends(log).items()}
    for wrong, differing in ((0, 0), (1, 1)):
        counts = {
            part: Counts(each.folded + (wrong if part == 1 else 0), each.duplicates, {}, {})
            for part, each in right.items()
        }
        write(database, cuts, at(log, ends(log)), counts)
        assert len(reconcile(settings)[1].counts) == differing


def write(database: Warehouse, cuts: dict[Partition, Cut], rows: list[UserRow], counts: dict[int, Counts]) -> None:
    kept = {part: msgspec.json.encode(each).decode() for part, each in counts.items()}
    warehouse.write_snapshot(database, 1_000, cuts, [rows], 1, '{"number": 1}', kept)


def test_who_differs_is_summed_up_from_the_raw_events(database: Warehouse, settings: Settings) -> None:
    """A summary that somebody has changed accuses nobody, and is named."""
    log = random_log(8)
    load(database, log)
    snapshot(database, ends(log), at(log, ends(log)))
    assert reconcile(settings)[1] == Reconciliation(12, 0, 0, 0, ())
    with writing(database) as connection:
        connection.execute(text("UPDATE user_summary SET searches = searches + 1 WHERE views > 3"))
        connection.execute(text("DELETE FROM user_summary WHERE user_id = :user"), {"user": b"u1"})
    result = reconcile(settings)[1]
    assert result.equal and result.summary_wrong and not result.full


def test_a_summary_that_is_emptied_meanwhile_proves_nothing(
    database: Warehouse, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = random_log(8)
    load(database, log)
    snapshot(database, ends(log), at(log, ends(log)))
    refresh = warehouse.refresh_summary

    def emptied_after(*arguments: Any) -> Any:
        done = refresh(*arguments)
        warehouse.empty_summary(database)
        return done

    monkeypatch.setattr(warehouse, "refresh_summary", emptied_after)
    with pytest.raises(Fenced, match="emptied meanwhile"):
        reconcile(settings)


def test_a_user_all_of_whose_events_beyond_the_cut_are_repeats(database: Warehouse, settings: Settings) -> None:
    """The stream has counted one again, as a worker does that has forgotten ids: that is the difference."""
    log = log_of([("views", Event("u1", 5, event_id="a")), ("views", Event("u1", 9, event_id="a"))])
    load(database, log)
    part = shard_of(b"u1", PARTITIONS)
    shards = {**dict.fromkeys(log, 0), ("views", part): 1}
    snapshot(database, shards, [user_row(b"u1", (0, 0, 0, 0, 2, 0, 0, 5, 9), (0, 0, 2))])
    for full in (False, True):
        (example,) = reconcile(settings, full=full)[1].examples
        assert example.fields == {"views": (2, 1), "last_ms": (9, 5), "total_views": (2, 1)}


def test_an_id_that_comes_all_the_time_costs_no_more_than_others(database: Warehouse) -> None:
    """What SQLite does for 3,000 events of one id, in thousands of its instructions, is not their square."""
    log = log_of([("views", Event("u1", 5, event_id="a"))] * 3_000)
    load(database, log)
    with counting_steps(database) as steps:
        warehouse.refresh_summary(database, 100_000)
    assert sum(steps) < 1_000


@contextmanager
def counting_steps(database: Warehouse) -> Iterator[list[int]]:
    """Thousands of instructions of SQLite; nothing is counted on a server."""
    steps: list[int] = []

    def count(connection: Any, *_: object) -> None:
        if database.engine.dialect.name == "sqlite":
            connection.set_progress_handler(lambda: steps.append(1), 1_000)

    sqlalchemy.event.listen(database.engine, "connect", count)
    database.engine.dispose()
    yield steps
    sqlalchemy.event.remove(database.engine, "connect", count)
