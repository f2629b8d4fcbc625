"""Runs of other clustering algorithms, kept beside the segments of the snapshots."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

from sqlalchemy import text

from segmenter.warehouse.engine import SUMMARY_SECONDS, Warehouse, insert, reading, writing

MEMBERS_AT_A_TIME = 5_000

_ONE_AT_A_TIME = ("cluster_runs", "whoever writes one locks this row")


class ClusterRun(NamedTuple):
    """One run on the users of a snapshot, and how good its clusters are; None for a score that does not exist."""

    snapshot_id: int
    algorithm: str
    parameters: str
    """What it was told, what it used, and what it says of itself, as JSON."""
    k: int
    """The number of clusters found, noise not among them."""
    users: int
    noise: int
    silhouette: float | None
    davies_bouldin: float | None
    calinski_harabasz: float | None
    rand_live: float | None
    """The adjusted Rand index with the live segments."""
    taken_ms: int


def write_clusters(warehouse: Warehouse, run: ClusterRun, members: Iterable[tuple[bytes, str]]) -> int:
    """Store a run with the cluster of each user, as a whole or not at all; returns its number, from 1 on."""
    with writing(warehouse, SUMMARY_SECONDS) as connection:
        insert(connection, "meta", ("name", "value"), [_ONE_AT_A_TIME], unless_there=True)
        latest = connection.execute(text("SELECT COALESCE(MAX(run_id), 0) FROM cluster_runs")).scalar_one()
        number = int(latest) + 1
        insert(connection, "cluster_runs", ("run_id", *ClusterRun._fields), [(number, *run)])
        rows = ((number, *member) for member in members)
        while batch := list(islice(rows, MEMBERS_AT_A_TIME)):
            insert(connection, "cluster_members", ("run_id", "user_id", "cluster"), batch)
        return number


def latest_runs(warehouse: Warehouse) -> list[ClusterRun]:
    """The last run of each algorithm on the latest snapshot that any was run on, in the order of the runs."""
    query = f"""
        SELECT {", ".join(ClusterRun._fields)} FROM cluster_runs WHERE run_id IN (
            SELECT MAX(run_id) FROM cluster_runs
            WHERE snapshot_id = (SELECT MAX(snapshot_id) FROM cluster_runs) GROUP BY algorithm
        ) ORDER BY run_id
    """
    with reading(warehouse) as connection:
        return [ClusterRun(*row) for row in connection.execute(text(query))]
