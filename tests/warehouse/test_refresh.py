"""The batch summary, kept up to date, is what all raw events give at once, whatever came when."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest
from sqlalchemy import text

from segmenter import warehouse
from segmenter.errors import Fenced, SumTooLarge
from segmenter.kinds import pick
from segmenter.settings import Settings
from segmenter.warehouse import Loaded, Move, Partition, Warehouse
from segmenter.warehouse.engine import reading, writing
from segmenter.warehouse.summary import refresh
from segmenter.warehouse.summary.activity import read_activity
from segmenter.warehouse.summary.work_tables import working
from tests.threads import Threads
from tests.warehouse.activity import active_log, begin, every_partition, load_up_to, summaries
from tests.warehouse.world import WINDOW, Log, batch_rows, ends, random_log, snapshot, summed

Rows = dict[bytes, tuple[Any, ...]]
TABLES = ("user_summary", "user_seen", "summary_offsets")


def stored(database: Warehouse) -> list[set[tuple[Any, ...]]]:
    """All that a refresh writes."""
    with reading(database) as connection:
        return [set(map(tuple, connection.execute(text(f"SELECT * FROM {table}")))) for table in TABLES]


def shown(database: Warehouse) -> dict[str, dict[str, Any]]:
    """What analysts see of each user."""
    with reading(database) as connection:
        users = connection.execute(text("SELECT user_id FROM user_activity_summary")).scalars().all()
    found = {bytes(user).decode(): read_activity(database, bytes(user)) or {} for user in users}
    return {user: {name: row[name] for name in row if not name.startswith("days_since")} for user, row in found.items()}


@pytest.fixture
def rng() -> random.Random:
    return random.Random(3)


def test_it_equals_plain_pandas(database: Warehouse, rng: random.Random) -> None:
    log = active_log(rng)
    begin(database, log)
    load_up_to(database, log, ends(log))
    done = warehouse.refresh_summary(database, WINDOW)
    assert shown(database) == summaries(log, ends(log))
    assert done.events == sum(event is not None for records in log.values() for event in records)
    assert done.duplicates > 10


def steps(rng: random.Random, log: Log) -> list[dict[Partition, int]]:
    """A way from nothing to everything, some partitions at a time."""
    at, found = dict.fromkeys(every_partition(), 0), []
    for _ in range(rng.randrange(1, 6)):
        moved = rng.sample(every_partition(), rng.randrange(1, 10))
        at = at | {where: rng.randrange(at[where], len(log[where]) + 1) for where in moved}
        found.append(at)
    return [*found, dict(ends(log))]


def in_steps(database: Warehouse, log: Log, rng: random.Random) -> None:
    begin(database, log)
    for up_to in steps(rng, log):
        load_up_to(database, log, up_to)
        behind: Mapping[Partition, int] | None = {at: rng.randrange(end + 1) for at, end in up_to.items()}
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(refresh, "ROWS_AT_A_TIME", rng.choice([1, 7, 50, 10**6]))
            warehouse.refresh_summary(database, WINDOW, rng.choice([None, behind]))
    warehouse.refresh_summary(database, WINDOW)


@hypothesis.settings(max_examples=25)
@hypothesis.given(st.randoms(use_true_random=False))
def test_any_increments_in_any_order_equal_the_rebuild(
    give_schema: Callable[[Warehouse], Warehouse], rng: random.Random
) -> None:
    """And plain pandas: also when transactions are small, and when a refresh does not go up to what is loaded."""
    log = active_log(rng, count=60, users=5)
    with (
        tempfile.TemporaryDirectory() as folder,
        warehouse.connect(Settings(warehouse_url=f"sqlite:///{Path(folder)}/w.db")) as database,
    ):
        in_steps(give_schema(database), log, rng)
        kept = stored(database)
        assert shown(database) == summaries(log, ends(log))
        warehouse.empty_summary(database)
        assert stored(database) == [set(), set(), set()]
        warehouse.refresh_summary(database, WINDOW)
        assert stored(database) == kept


@pytest.mark.parametrize("seed", range(3))
def test_increments_equal_the_rebuild_and_the_one_statement(database: Warehouse, seed: int) -> None:
    rng = random.Random(seed)
    log = active_log(rng, count=150)
    in_steps(database, log, rng)
    kept = stored(database)
    assert shown(database) == summaries(log, ends(log))
    warehouse.empty_summary(database)
    warehouse.refresh_summary(database, WINDOW)
    assert stored(database) == kept
    with reading(database) as connection:
        names = ", ".join(warehouse.value_columns(database.kinds)[:7])
        found = connection.execute(text(f"SELECT user_id, {names}, first_ms, last_ms FROM user_summary")).all()
    taken = snapshot(database, ends(log), [])
    assert {bytes(user): tuple(values) for user, *values in found} == batch_rows(database, taken.snapshot_id, WINDOW)


def test_only_users_with_new_events_are_written(database: Warehouse, rng: random.Random) -> None:
    """All others stay even as somebody has spoilt them."""
    log = active_log(rng, users=20)
    begin(database, log)
    late = {at: len(records) - 3 for at, records in log.items()}
    load_up_to(database, log, late)
    warehouse.refresh_summary(database, WINDOW)
    with writing(database) as connection:
        connection.execute(text("UPDATE user_summary SET last_ms = -1"))
    load_up_to(database, log, ends(log))
    done = warehouse.refresh_summary(database, WINDOW)
    with reading(database) as connection:
        spoilt = connection.execute(text("SELECT user_id FROM user_summary WHERE last_ms = -1")).scalars()
        untouched = {bytes(user).decode() for user in spoilt}
    before, after = summaries(log, late), summaries(log, ends(log))
    changed = {user for user in after if before.get(user) != after[user]}
    assert 5 < len(untouched) < 20
    assert not untouched & changed
    assert done.user_rows == 20 - len(untouched)


def test_a_refresh_that_ends_half_way_is_continued(
    database: Warehouse, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "ROWS_AT_A_TIME", 20)
    log = active_log(rng)
    begin(database, log)
    load_up_to(database, log, ends(log))
    calls = []

    def end_soon(offsets: int) -> None:
        calls.append(offsets)
        if len(calls) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        warehouse.refresh_summary(database, WINDOW, advance=end_soon)
    assert calls == [20] * 4
    assert warehouse.waiting(database) == sum(map(len, log.values())) - 80
    warehouse.refresh_summary(database, WINDOW)
    assert shown(database) == summaries(log, ends(log))


def test_a_transaction_that_fails_leaves_nothing(
    database: Warehouse, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = active_log(rng)
    begin(database, log)
    load_up_to(database, log, ends(log))
    monkeypatch.setattr(refresh, "counted", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        warehouse.refresh_summary(database, WINDOW)
    assert stored(database) == [set(), set(), set()]


def test_two_refreshes_at_once_count_each_event_once(
    database: Warehouse, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "ROWS_AT_A_TIME", 15)
    log = active_log(rng)
    begin(database, log)
    load_up_to(database, log, ends(log))
    with Threads() as threads:
        done = list(threads.map(lambda _: warehouse.refresh_summary(database, WINDOW), range(3)))
    assert shown(database) == summaries(log, ends(log))
    assert sum(each.events for each in done) == sum(event is not None for records in log.values() for event in records)


def test_who_empties_it_keeps_all_others_away_until_it_is_empty(
    database: Warehouse, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the one who began to empty it is gone: the next refresh goes on with it."""
    monkeypatch.setattr(refresh, "USERS_AT_A_TIME", 2)
    log = active_log(rng)
    begin(database, log)
    load_up_to(database, log, ends(log))
    warehouse.refresh_summary(database, WINDOW)
    removed, calls = refresh._removed_some, []

    def ends_soon(own: Warehouse) -> bool:
        calls.append(own)
        return removed(own) and len(calls) < 3

    with monkeypatch.context() as patched:
        patched.setattr(refresh, "_removed_some", ends_soon)
        warehouse.empty_summary(database)
    assert 0 < len(stored(database)[0]) < 9
    with working(database, writes=True) as connection, pytest.raises(Fenced, match="built anew"):
        refresh.require_whole(connection)
    warehouse.refresh_summary(database, WINDOW)
    assert shown(database) == summaries(log, ends(log))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("apart", [True, False])
def test_a_sum_beyond_64_bits_is_an_error_and_no_other_number(
    empty: Warehouse, sign: int, apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether one transaction takes up all of it, or each event has its own."""
    monkeypatch.setattr(refresh, "ROWS_AT_A_TIME", 1 if apart else 10)
    shop = empty._replace(kinds=pick(["purchase"]))
    warehouse.migrate(shop, now_ms=1)
    warehouse.begin(shop, {("purchases", 0): Loaded("t1", 0)}, 1)
    largest = 2**63 - 1 if sign > 0 else -(2**63)
    amounts = [largest - 5 * sign, 5 * sign, sign]
    raw = [(0, pos, "t1", b"u1", 5, 5, *(None,) * 9, amount) for pos, amount in enumerate(amounts)]
    warehouse.load(shop, {"purchases": raw[:2]}, {("purchases", 0): Move(0, 2)})
    warehouse.refresh_summary(shop, WINDOW)
    row = read_activity(shop, b"u1")
    assert row is not None and row["total_purchase_amount"] == largest
    warehouse.load(shop, {"purchases": raw[2:]}, {("purchases", 0): Move(2, 3)})
    with pytest.raises(SumTooLarge, match="purchase_amount of user u1 needs more than 64 bits"):
        warehouse.refresh_summary(shop, WINDOW)
    if not apart:
        warehouse.empty_summary(shop)
        with pytest.raises(SumTooLarge, match="the database does not tell which"):
            warehouse.refresh_summary(shop, WINDOW)


def test_a_log_without_ids_is_summed_up_as_by_a_plain_loop(database: Warehouse) -> None:
    log = random_log(5)
    begin(database, log)
    load_up_to(database, log, ends(log))
    warehouse.refresh_summary(database, WINDOW)
    everything = summed(log, lambda user, topic, part: len(log[topic, part]))
    assert {user: row["total_clicks"] for user, row in shown(database).items()} == {
        user.decode(): profile[0] for user, profile in everything.items()
    }
