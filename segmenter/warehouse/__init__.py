"""The warehouse: raw events, snapshots, the batch summary, and what analysts keep, in SQLite, MySQL or MariaDB.

The only place that imports SQLAlchemy. What differs between the databases is in `segmenter.warehouse.dialects`;
the schema and the summary are in ``sql/``, the same text for all.
"""

from __future__ import annotations

from segmenter.warehouse.analysis.clusters import ClusterRun, latest_runs, write_clusters
from segmenter.warehouse.analysis.items import item_pages
from segmenter.warehouse.analysis.recommendations import RecommendationRun, write_recommendations
from segmenter.warehouse.attribute_values import AttributeValue, attributes_of, read_attributes
from segmenter.warehouse.attributes import (
    ATTRIBUTE_TYPES,
    MAX_VALUE,
    ArrivingValue,
    Attribute,
    LoadedValues,
    attributes,
    load_attributes,
)
from segmenter.warehouse.behind import Behind, Reach, behind, reach_of
from segmenter.warehouse.columns import raw_columns, user_columns, value_columns
from segmenter.warehouse.engine import Warehouse, connect
from segmenter.warehouse.gaps import Gap, begins, recorded_gaps, skip, withdraw
from segmenter.warehouse.history.changes import Followed, Span, StoredChange, forget_changes
from segmenter.warehouse.history.over_time import Period, SegmentMoves, SegmentSize, read_moves, read_period, read_sizes
from segmenter.warehouse.history.past import KeptPast, read_past
from segmenter.warehouse.history.verdicts import Verdict, read_verdict, write_verdict
from segmenter.warehouse.migrations import applied, migrate, pending, require_schema, to_come
from segmenter.warehouse.raw_events import (
    Loaded,
    Move,
    Partition,
    RawRow,
    begin,
    claim_rules,
    load,
    loaded,
    raw_rows,
    require_rules,
)
from segmenter.warehouse.sink_heartbeat import SinkHeartbeat, clock_ms, read_sink_heartbeat, send_sink_heartbeat
from segmenter.warehouse.snapshot_contents import (
    SnapshotUser,
    furthest_cuts,
    latest_generation,
    snapshot_counts,
    snapshot_cuts,
    snapshot_generation,
    snapshot_users,
)
from segmenter.warehouse.snapshots import (
    Cut,
    Snapshot,
    UserRow,
    find_snapshot,
    latest_snapshot,
    remove_snapshots,
    write_snapshot,
)
from segmenter.warehouse.summary import (
    AllLoaded,
    BatchCounts,
    Compared,
    Refreshed,
    Unequal,
    all_loaded,
    compare_snapshot,
    empty_summary,
    read_activity,
    refresh_summary,
    require_whole_summary,
    summary_at_odds,
    waiting,
)

__all__ = [
    "ATTRIBUTE_TYPES",
    "MAX_VALUE",
    "AllLoaded",
    "ArrivingValue",
    "Attribute",
    "AttributeValue",
    "BatchCounts",
    "Behind",
    "ClusterRun",
    "Compared",
    "Cut",
    "Followed",
    "Gap",
    "KeptPast",
    "Loaded",
    "LoadedValues",
    "Move",
    "Partition",
    "Period",
    "RawRow",
    "Reach",
    "RecommendationRun",
    "Refreshed",
    "SegmentMoves",
    "SegmentSize",
    "SinkHeartbeat",
    "Snapshot",
    "SnapshotUser",
    "Span",
    "StoredChange",
    "Unequal",
    "UserRow",
    "Verdict",
    "Warehouse",
    "all_loaded",
    "applied",
    "attributes",
    "attributes_of",
    "begin",
    "begins",
    "behind",
    "claim_rules",
    "clock_ms",
    "compare_snapshot",
    "connect",
    "empty_summary",
    "find_snapshot",
    "forget_changes",
    "furthest_cuts",
    "item_pages",
    "latest_generation",
    "latest_runs",
    "latest_snapshot",
    "load",
    "load_attributes",
    "loaded",
    "migrate",
    "pending",
    "raw_columns",
    "raw_rows",
    "reach_of",
    "read_activity",
    "read_attributes",
    "read_moves",
    "read_past",
    "read_period",
    "read_sink_heartbeat",
    "read_sizes",
    "read_verdict",
    "recorded_gaps",
    "refresh_summary",
    "remove_snapshots",
    "require_rules",
    "require_schema",
    "require_whole_summary",
    "send_sink_heartbeat",
    "skip",
    "snapshot_counts",
    "snapshot_cuts",
    "snapshot_generation",
    "snapshot_users",
    "summary_at_odds",
    "to_come",
    "user_columns",
    "value_columns",
    "waiting",
    "withdraw",
    "write_clusters",
    "write_recommendations",
    "write_snapshot",
    "write_verdict",
]
