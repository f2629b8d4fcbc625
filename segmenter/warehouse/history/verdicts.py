"""What reconciliations have found, kept for whoever asks later."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import text

from segmenter.warehouse.engine import Warehouse, insert, reading, writing


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

    @property
    def equal(self) -> bool:
        """Whether the stream equals the batch, and nothing is missing from the proof."""
        return not any(self[3:])


def write_verdict(warehouse: Warehouse, verdict: Verdict) -> None:
    """Store one; of several of a snapshot within a millisecond, the first."""
    with writing(warehouse) as connection:
        insert(connection, "reconciliations", Verdict._fields, [verdict], unless_there=True)


def read_verdict(warehouse: Warehouse, snapshot_id: int) -> Verdict | None:
    """What the last comparison of a snapshot with the batch found, None if it has not been compared."""
    query = f"""
        SELECT {", ".join(Verdict._fields)} FROM reconciliations
        WHERE snapshot_id = :snapshot_id ORDER BY reconciled_ms DESC LIMIT 1
    """
    with reading(warehouse) as connection:
        row = connection.execute(text(query), {"snapshot_id": snapshot_id}).one_or_none()
    return None if row is None else Verdict(*row)
