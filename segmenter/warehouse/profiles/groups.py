"""Users of a snapshot in groups, and how a query about them is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import text

from segmenter.errors import UsageError
from segmenter.kinds import Feature
from segmenter.warehouse.engine import SUMMARY_SECONDS, Warehouse, reading
from segmenter.warehouse.snapshots import Snapshot, find_snapshot
from segmenter.warehouse.templates import statements
from segmenter.warehouse.users_of import users_of

if TYPE_CHECKING:
    import pandas as pd

ROWS_AT_A_TIME = 5_000

MOST_VALUES = 200
"""Of each field and label, so many of its most common values are read."""

COUNTED = {"label": "str", "key": "object", "value": "object", "users": "int64"}
"""The columns of what `profile_macros.sql` counts. ``key`` is the same for the same value alone."""


class Groups(NamedTuple):
    """The users of a snapshot by their segments or, with a run, by its clusters."""

    snapshot: Snapshot
    run_id: int | None


def groups_of(warehouse: Warehouse, run_id: int | None) -> Groups:
    """The segments of the latest snapshot, or the clusters of a run. Raises `UsageError` if they are not there."""
    if run_id is None:
        return Groups(find_snapshot(warehouse), None)
    with reading(warehouse) as connection:
        runs = dict(map(tuple, connection.execute(text("SELECT run_id, snapshot_id FROM cluster_runs"))))
        kept = set(connection.execute(text("SELECT snapshot_id FROM snapshots")).scalars())
    if not runs:
        raise UsageError("the warehouse holds no run of `segmenter cluster` yet: run it first, or leave --run out.")
    if run_id not in runs:
        raise UsageError(f"the warehouse holds no run {run_id}; there are {', '.join(map(str, sorted(runs)))}.")
    if runs[run_id] not in kept:
        raise UsageError(
            f"snapshot {runs[run_id]}, whose users run {run_id} has clustered, has been removed: run "
            "`segmenter cluster` again."
        )
    return Groups(find_snapshot(warehouse, runs[run_id]), run_id)


def read_features(warehouse: Warehouse, groups: Groups, features: Sequence[Feature]) -> pd.DataFrame:
    """One row a user: ``label`` and the features; what is missing is NaN."""
    types = {"label": "str"} | {each.name: "float64" for each in features}
    return read_table(warehouse, groups, "profile_features.sql", types, features=features)


def read_table(
    warehouse: Warehouse,
    groups: Groups,
    file: str,
    types: Mapping[str, str],
    parameters: Mapping[str, Any] | None = None,
    **context: Any,
) -> pd.DataFrame:
    """The rows of the query in a file of SQL, with these names and types of columns."""
    import pandas as pd  # here, since nothing else in the warehouse needs it

    bound = {"snapshot_id": groups.snapshot.snapshot_id, **(parameters or {})}
    if groups.run_id is not None:
        bound["run_id"] = groups.run_id

    def frame(rows: Iterable[Any]) -> pd.DataFrame:
        return pd.DataFrame.from_records(map(tuple, rows), columns=list(types)).astype(dict(types))

    with reading(warehouse, SUMMARY_SECONDS) as connection:
        users = users_of(connection, warehouse.kinds, groups.snapshot.snapshot_id)
        (query,) = statements(file, run=groups.run_id is not None, users=users, **context)
        found = connection.execute(text(query), bound, execution_options={"yield_per": ROWS_AT_A_TIME})
        parts = [frame(part) for part in found.partitions(ROWS_AT_A_TIME)]
    return pd.concat(parts, ignore_index=True) if parts else frame([])
