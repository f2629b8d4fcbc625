"""An incremental snapshot holds who has changed since the whole one before it, and reads like a whole one."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pandas as pd
import pytest
from sqlalchemy import text

from segmenter import warehouse
from segmenter.operations.reconcile import reconcile
from segmenter.settings import Settings
from segmenter.warehouse import UserRow, Warehouse, user_columns
from segmenter.warehouse.engine import calculating, reading
from segmenter.warehouse.snapshot_contents import read_users
from segmenter.warehouse.templates import statements
from segmenter.warehouse.users_of import _names, insert_increment, users_of
from tests.defaults import FIELDS, TOPICS
from tests.warehouse.test_incremental import anywhere, stream
from tests.warehouse.world import PARTITIONS, WINDOW, Cuts, Log, load, random_log, snapshot, user_row

SEGMENTS = ("low_engagement", "moderate_engagement", "highly_engaged")


@pytest.fixture
def settings(warehouse_url: str) -> Settings:
    return Settings(warehouse_url=warehouse_url, partitions=PARTITIONS, duplicate_window=WINDOW)


def judged(row: UserRow, segment: str, generation: int) -> UserRow:
    """The same row, judged otherwise."""
    cuts = len(TOPICS)
    return (*row[: -cuts - 2], segment, generation, *row[-cuts:])


def later(log: Log, base: Sequence[UserRow], shards: Cuts, rng: random.Random) -> list[UserRow]:
    """Rows as some are later: some as they were, some gone on, gone, or judged by another generation."""
    went_on = {row[0]: row for row in stream(log, shards, rng, 30)}
    rows = []
    for row in base:
        fate = rng.random()
        if fate < 0.2:
            rows.append(judged(went_on.pop(row[0], row), rng.choice(SEGMENTS), rng.choice([2, 3])))
        elif fate < 0.9:
            cuts = [max(own, shards[topic, row[1]]) for topic, own in zip(TOPICS, row[-3:], strict=True)]
            segment = rng.choice([row[-5], row[-5], row[-5], *SEGMENTS])
            rows.append((*judged(row, segment, 3 if row[-4] == 1 else row[-4])[:-3], *cuts))
        went_on.pop(row[0], None)
    return rows + [judged(row, "low_engagement", 3) for row in list(went_on.values())[:2]]


def stored(database: Warehouse, snapshot_id: int) -> int:
    with reading(database) as connection:
        query = text("SELECT COUNT(*) FROM snapshot_users WHERE snapshot_id = :number")
        return int(connection.execute(query, {"number": snapshot_id}).scalar_one())


@pytest.mark.parametrize("seed", range(12))
def test_it_reads_as_it_was_taken(database: Warehouse, seed: int) -> None:
    """Whatever has become of the users; the rows that were given are what is expected."""
    rng = random.Random(seed)
    log = random_log(seed, users=30)
    base_cuts = {at: len(records) // 3 for at, records in log.items()}
    shards = {at: rng.randrange(cut, len(log[at]) + 1) for at, cut in base_cuts.items()}
    base = [judged(row, rng.choice(SEGMENTS), rng.choice([1, 1, 1, 0])) for row in stream(log, base_cuts, rng, 30)]
    rows = sorted(later(log, base, shards, rng))
    snapshot(database, base_cuts, base)
    taken = snapshot(database, shards, rows, 3, incremental=True)
    assert (taken.base_id, taken.users) == (1, len(rows))
    read = read_users(database, 2)
    expected = pd.DataFrame(rows, columns=list(user_columns(database.kinds))).astype(dict(read.dtypes))
    pd.testing.assert_frame_equal(read, expected)
    assert sorted(tuple(each[:3]) for batch in warehouse.snapshot_users(database, 2) for each in batch) == [
        (row[0], row[1], tuple(row[2 : 2 + len(FIELDS)])) for row in rows
    ]
    assert warehouse.furthest_cuts(database, 2) == {
        (topic, part): max(row[-3 + at] for row in rows if row[1] == part)
        for at, topic in enumerate(TOPICS)
        for part in {row[1] for row in rows}
    }
    with reading(database) as connection:
        current = connection.execute(text("SELECT user_id, segment FROM current_segments ORDER BY user_id")).all()
        sizes = dict(map(tuple, connection.execute(text("SELECT segment, users FROM segment_sizes_daily"))))
    assert [tuple(each) for each in current] == [(row[0], row[-5]) for row in rows]
    assert sizes == pd.Series([row[-5] for row in rows]).value_counts().to_dict()


def test_only_who_has_changed_is_stored(database: Warehouse) -> None:
    """Everybody's cut has moved with the shard's, and everybody was judged anew: that alone takes no row."""
    log = random_log(1, count=0)
    base = [user_row(b"u%d" % number, (number + 1,) * len(FIELDS), (5, 5, 5)) for number in range(50)]
    snapshot(database, dict.fromkeys(log, 5), base)
    rows = [(*judged(row, row[-5], 2)[:-3], 9, 9, 9) for row in base[3:]]
    rows[0] = judged(rows[0], "highly_engaged", 2)
    rows[1] = judged(rows[1], rows[1][-5], 1)
    rows[2] = (*rows[2][:-1], 12)
    rows.append(judged(user_row(b"new", (1,) * len(FIELDS), (9, 9, 9)), "low_engagement", 2))
    assert snapshot(database, dict.fromkeys(log, 9), rows, 2, incremental=True) == (2, 1_000, 2, 48, 1)
    assert stored(database, 2) == 4
    assert read_users(database, 2)["user_id"].tolist() == sorted(row[0] for row in rows)


def test_sqlite_looks_users_up(database: Warehouse) -> None:
    """It goes through one table, and finds what belongs to a row by keys: otherwise it takes time by their product."""
    if database.engine.dialect.name != "sqlite":
        return
    log = random_log(1, count=0)
    for _ in range(2):
        rows = [user_row(b"u%d" % number, (1,) * len(FIELDS), (5, 5, 5)) for number in range(8)]
        snapshot(database, dict.fromkeys(log, 5), rows, incremental=True)
    with calculating(database, writes=True) as connection:
        users = users_of(connection, database.kinds, 2)
        insert_increment(connection, database.kinds, 2, 1, [])
        (increment, _) = statements("increment.sql", **_names(connection, database.kinds, 2, 1))
        for query in (
            increment,
            f"SELECT u.segment FROM raw_views e JOIN {users} u ON u.snapshot_id = 2 AND u.user_id = e.user_id",
            f"SELECT u.segment FROM raw_views e LEFT JOIN {users} u ON u.snapshot_id = 2 AND u.user_id = e.user_id",
            "SELECT c.segment FROM raw_views v CROSS JOIN current_segments c ON c.user_id = v.user_id",
        ):
            plan = [row[3] for row in connection.execute(text(f"EXPLAIN QUERY PLAN {query}"))]
            assert len([step for step in plan if step.startswith("SCAN")]) == 1, plan


def test_it_is_whole_without_one_before_and_once_more_than_half_have_changed(database: Warehouse) -> None:
    log = random_log(1, count=0)
    cuts = dict.fromkeys(log, 5)
    rows = [user_row(b"u%d" % number, (number + 1,) * len(FIELDS), (5, 5, 5)) for number in range(8)]
    changed = [judged(row, "highly_engaged", 1) for row in rows]
    taken = [
        snapshot(database, cuts, changed[:number] + rows[number:], incremental=True).base_id
        for number in (0, 0, 4, 5, 5, 6)
    ]
    assert taken == [0, 1, 1, 1, 0, 5]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("full", [False, True])
def test_reconcile_proves_as_much(database: Warehouse, settings: Settings, seed: int, full: bool) -> None:
    """Wherever the summary stands; whoever differs, is missing or extra is found."""
    rng = random.Random(seed)
    log = random_log(seed, users=30)
    load(database, log)
    base_cuts = {at: len(records) * 4 // 5 for at, records in log.items()}
    snapshot(database, base_cuts, stream(log, base_cuts, rng, 30))
    shards = {at: rng.randrange(cut, len(log[at]) + 1) for at, cut in base_cuts.items()}
    warehouse.refresh_summary(database, WINDOW, anywhere(log, rng))
    rows = stream(log, shards, rng, 30)
    taken = snapshot(database, shards, rows, incremental=True)
    assert taken.base_id == 1
    result = reconcile(settings, full=full)[1]
    assert (result.compared, result.differing, result.missing, result.extra) == (len(rows), 0, 0, 0)
    spoilt = [(*rows[0][:2], rows[0][2] + 1, *rows[0][3:]), *rows[1:-1]]
    snapshot(database, shards, [*spoilt, user_row(b"ghost", (1, 0, 0, 0, 0, 0, 0, 5, 5), (0,) * 3)], incremental=True)
    result = reconcile(settings, full=full)[1]
    assert (result.compared, result.differing, result.missing, result.extra) == (len(rows) - 1, 1, 1, 1)


def test_a_base_stays_as_long_as_it_is_needed(database: Warehouse) -> None:
    log = random_log(1, count=0)
    cuts = dict.fromkeys(log, 5)
    rows = [user_row(b"u%d" % number, (number + 1,) * len(FIELDS), (5, 5, 5)) for number in range(8)]
    for incremental in (False, False, True, True):
        snapshot(database, cuts, rows, incremental=incremental)
    assert warehouse.remove_snapshots(database, 1) == [1, 3]
    snapshot(database, cuts, rows)
    assert warehouse.remove_snapshots(database, 1) == [2, 4]
    assert read_users(database, 5)["user_id"].tolist() == sorted(row[0] for row in rows)


def test_snapshots_older_than_a_time_are_removed_but_the_latest(database: Warehouse) -> None:
    log = random_log(1, count=0)
    for taken_ms in (1_000, 2_000, 3_000):
        warehouse.write_snapshot(database, taken_ms, {at: warehouse.Cut("t1", 5) for at in log}, [], 0, None, {})
    assert warehouse.remove_snapshots(database, before_ms=2_000) == [1]
    assert warehouse.remove_snapshots(database, before_ms=9_000) == [2]
    assert warehouse.find_snapshot(database).snapshot_id == 3
