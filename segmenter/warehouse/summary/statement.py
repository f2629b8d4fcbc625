"""The batch summary as one statement, ``summary.sql``: every raw event is read."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, text

from segmenter.errors import SumTooLarge
from segmenter.events import shown
from segmenter.kinds import Kind
from segmenter.model.profiles import fields
from segmenter.warehouse.engine import SUMMARY_SECONDS, Warehouse, listed, reading
from segmenter.warehouse.gaps import Gap, read_gaps
from segmenter.warehouse.raw_events import Loaded, Partition, read_loaded
from segmenter.warehouse.summary.work_tables import fitting
from segmenter.warehouse.templates import statements
from segmenter.warehouse.users_of import base_of

ALL_LOADED = 0
"""The number of no snapshot: its cuts are the offsets of the sink."""


class BatchCounts(NamedTuple):
    """How many events of a shard count, and how many do not since they are duplicates."""

    folded: int
    duplicates: int


class AllLoaded(NamedTuple):
    """The batch summary of all that the sink has loaded."""

    offsets: dict[Partition, Loaded]
    gaps: list[Gap]
    profiles: dict[bytes, tuple[int, ...]]
    """The numbers of each user, in the order of ``profiles.fields``."""
    counts: dict[int, BatchCounts]


def all_loaded(warehouse: Warehouse, duplicate_window: int) -> AllLoaded:
    """The batch summary of all that the sink has loaded, as of one moment."""
    with reading(warehouse, SUMMARY_SECONDS) as connection:
        return AllLoaded(
            read_loaded(connection),
            read_gaps(connection),
            _batch_rows(connection, warehouse.kinds, ALL_LOADED, duplicate_window),
            read_batch_counts(connection, warehouse.kinds, ALL_LOADED, duplicate_window),
        )


def _batch_rows(
    connection: Connection, kinds: tuple[Kind, ...], snapshot_id: int, duplicate_window: int
) -> dict[bytes, tuple[int, ...]]:
    (query,) = statements("summary.sql", kinds=kinds, base_id=base_of(connection, snapshot_id))
    cut = {"snapshot_id": snapshot_id, "duplicate_window": duplicate_window}
    with fitting():
        found = connection.execute(text(query), cut).all()
    rows: dict[bytes, tuple[int, ...]] = {user: tuple(map(int, numbers)) for user, *numbers in found}
    for name in [kind.fields[-1] for kind in kinds if kind.measure == "amount"]:
        at = fields(kinds).index(name)
        for user, values in rows.items():
            if not -(2**63) <= values[at] < 2**63:
                raise SumTooLarge(shown(user), name)
    return rows


def read_batch_counts(
    connection: Connection, kinds: tuple[Kind, ...], snapshot_id: int, duplicate_window: int
) -> dict[int, BatchCounts]:
    (query,) = statements("counts.sql", kinds=kinds)
    found = connection.execute(text(query), {"snapshot_id": snapshot_id, "duplicate_window": duplicate_window})
    return {part: BatchCounts(events - int(duplicates), int(duplicates)) for part, events, duplicates in found}


def insert_all(connection: Connection, kinds: tuple[Kind, ...], snapshot_id: int, duplicate_window: int) -> None:
    """Put the batch summary of every user up to the snapshot's cuts into the temporary table ``recomputed``."""
    (query,) = statements("summary.sql", kinds=kinds, base_id=base_of(connection, snapshot_id))
    insert = f"INSERT INTO recomputed ({listed(('user_id', *fields(kinds)))}) {query}"
    with fitting():
        connection.execute(text(insert), {"snapshot_id": snapshot_id, "duplicate_window": duplicate_window})
