"""What reconciliations have found, kept for whoever asks later."""

from __future__ import annotations

from typing import NamedTuple

from segmenter.warehouse.engine import Warehouse, insert, writing


class Verdict(NamedTuple):
    """What a reconciliation found: numbers of users, but for ``shards``, whose counts were wrong, and ``gaps``."""

    reconciled_ms: int
    snapshot_id: int
    compared: int
    differing: int
    missing: int
    extra: int
    shards: int
    gaps: int


def write_verdict(warehouse: Warehouse, verdict: Verdict) -> None:
    """Store one; of several of a snapshot within a millisecond, the first."""
    with writing(warehouse) as connection:
        insert(connection, "reconciliations", Verdict._fields, [verdict], unless_there=True)
