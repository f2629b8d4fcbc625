"""Old snapshots are removed as a whole, but never one that holds what no later one does."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from segmenter import warehouse
from segmenter.errors import UsageError
from segmenter.operations.reconcile import reconcile
from segmenter.settings import Settings
from segmenter.warehouse import Cut, Warehouse
from segmenter.warehouse.engine import reading
from tests.warehouse.world import PARTITIONS, WINDOW, Cuts, ends, load, random_log, snapshot, user_row

LOG = random_log(1)
TABLES = ("snapshots", "snapshot_cuts", "snapshot_shards", "snapshot_users", "snapshot_removed", "generations")


def take(database: Warehouse, cuts: Cuts) -> None:
    snapshot(database, cuts, [user_row(b"u1", (1,) * 9, (1, 1, 1))])


def held(database: Warehouse) -> list[set[int]]:
    """The numbers in each table that has any."""
    with reading(database) as connection:
        found = [set(connection.execute(text(f"SELECT snapshot_id FROM {table}")).scalars()) for table in TABLES]
    return [numbers for numbers in found if numbers]


def test_the_latest_ones_stay(database: Warehouse) -> None:
    for _ in range(5):
        take(database, ends(LOG))
    assert warehouse.remove_snapshots(database, 9) == []
    assert warehouse.remove_snapshots(database, 2) == [1, 2, 3]
    assert held(database) == [{4, 5}] * 4
    assert warehouse.remove_snapshots(database, 1) == [4]
    take(database, ends(LOG))
    assert warehouse.find_snapshot(database).snapshot_id == 6, "no number is used again"


def test_a_snapshot_of_an_emptied_redis_does_not_drive_out_the_whole_ones(database: Warehouse) -> None:
    """Until the stream has come to where they were, in every partition."""
    take(database, ends(LOG))
    at, *_ = ends(LOG)
    for behind in (dict.fromkeys(LOG, 0), {**ends(LOG), at: ends(LOG)[at] - 1}):
        for _ in range(3):
            take(database, behind)
        warehouse.remove_snapshots(database, 1)
        assert 1 in held(database)[0]
    take(database, ends(LOG))
    warehouse.remove_snapshots(database, 1)
    assert held(database) == [{8}] * 4


def test_a_snapshot_that_is_removed_while_it_is_compared_proves_nothing(
    database: Warehouse, warehouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(database, LOG)
    for _ in range(2):
        take(database, ends(LOG))
    read = warehouse.compare_snapshot

    def removed_meanwhile(*arguments: Any) -> Any:
        warehouse.remove_snapshots(database, 1)
        return read(*arguments)

    monkeypatch.setattr(warehouse, "compare_snapshot", removed_meanwhile)
    settings = Settings(warehouse_url=warehouse_url, partitions=PARTITIONS, duplicate_window=WINDOW)
    with pytest.raises(UsageError, match="no snapshot 1, only 2 to 2"):
        reconcile(settings, 1)


def test_a_snapshot_of_another_topic_of_that_name_is_not_kept_for_ever(database: Warehouse) -> None:
    """A topic that was made anew begins at 0: how far the former one had come says nothing of it."""
    take(database, ends(LOG))
    for _ in range(2):
        cuts = {at: Cut("t2", 1) for at in LOG}
        warehouse.write_snapshot(database, 1_000, cuts, [[user_row(b"u1", (1,) * 9, (1, 1, 1))]], 0, None, {})
    assert warehouse.remove_snapshots(database, 1) == [1, 2]
