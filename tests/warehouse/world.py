"""A small log, a slow and plain way to sum it up, and how it gets into a warehouse."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import text

from consumers.sink import raw_row
from segmenter import warehouse
from segmenter.events import Event
from segmenter.events.sharding import shard_of
from segmenter.warehouse import BatchCounts, Cut, Loaded, Move, Partition, Snapshot, UserRow, Warehouse
from segmenter.warehouse.engine import reading
from segmenter.warehouse.summary.statement import insert_all, read_batch_counts
from segmenter.warehouse.summary.work_tables import working
from tests.defaults import FIELDS, TOPICS

PARTITIONS = 3
WINDOW = 8
MIGRATIONS = [
    "001_raw_events.sql",
    "002_snapshots.sql",
    "003_snapshot_shards.sql",
    "004_sink_heartbeat.sql",
    "005_sink_gaps.sql",
    "006_kind.sql click (clicks, duration)",
    "006_kind.sql search (searches, none)",
    "006_kind.sql view (views, duration)",
    "007_users.sql",
    "008_clusters.sql",
    "009_user_summary.sql",
    "010_user_summary_kind.sql click (clicks, duration)",
    "010_user_summary_kind.sql search (searches, none)",
    "010_user_summary_kind.sql view (views, duration)",
    "011_views_kind.sql click (clicks, duration)",
    "011_views_kind.sql search (searches, none)",
    "011_views_kind.sql view (views, duration)",
    "012_segment_actions.sql",
    "013_recommendations.sql",
    "014_history.sql",
]
"""By which the schema is made, in order."""

Log = dict[Partition, list[Event | None]]
"""The records of each partition in order; None where a record was refused."""

Cuts = Mapping[Partition, int]
Counts = dict[int, BatchCounts]
Profile = tuple[int, ...]


@dataclass
class Record:
    """A record as the log gives it, of which only the place matters here."""

    topic: str
    partition: int
    offset: int
    timestamp: int = 5
    key: bytes | None = None
    value: bytes | None = None


def log_of(events: Sequence[tuple[str, Event | None]]) -> Log:
    """The log of (topic, event) in the order of publishing; a refused record goes to partition 0."""
    log: Log = {(topic, part): [] for topic in TOPICS for part in range(PARTITIONS)}
    for topic, event in events:
        log[topic, 0 if event is None else shard_of(event.user_id.encode(), PARTITIONS)].append(event)
    return log


def random_log(seed: int, count: int = 400, users: int = 12) -> Log:
    """Events with repeats, gaps, missing ids and durations; the first users have one kind only."""
    rng = random.Random(seed)
    only = dict(zip((f"u{index}" for index in range(users)), TOPICS, strict=False))
    events: list[tuple[str, Event | None]] = []
    for _ in range(count):
        user = f"u{rng.randrange(users)}"
        topic = only.get(user) or rng.choice(list(TOPICS))
        event = Event(
            user,
            rng.randrange(10**12, 10**12 + 10**9),
            event_id=rng.choice([None, *(f"e{number}" for number in range(6))]),
            duration_ms=rng.choice([None, 0, rng.randrange(86_400_000)]),
        )
        events.append((topic, None if rng.random() < 0.1 else event))
    return log_of(events)


def ends(log: Log) -> Cuts:
    """The cut after everything."""
    return {partition: len(records) for partition, records in log.items()}


def summed(log: Log, cut_of: Callable[[bytes, str, int], int], window: int = WINDOW) -> dict[bytes, Profile]:
    """The profile of each user with an event below the cut that ``cut_of`` gives for (user, topic, part)."""
    profiles: dict[bytes, dict[str, int]] = {}
    for (topic, part), records in log.items():
        last: dict[tuple[str, str], int] = {}
        for pos, event in enumerate(records):
            if event is None:
                continue
            user = event.user_id.encode()
            repeat = False
            if event.event_id is not None:
                before = last.get((event.user_id, event.event_id))
                repeat = before is not None and pos - before <= window
                last[event.user_id, event.event_id] = pos
            if repeat or pos >= cut_of(user, topic, part):
                continue
            profile = profiles.setdefault(user, dict.fromkeys(FIELDS, 0) | {"first_ms": 10**18})
            count, timed, total = {
                "click": ("clicks", "clicks_timed", "click_ms"),
                "search": ("searches", None, None),
                "view": ("views", "views_timed", "view_ms"),
            }[TOPICS[topic]]
            profile[count] += 1
            if timed and total and event.duration_ms is not None:
                profile[timed] += 1
                profile[total] += event.duration_ms
            profile["first_ms"] = min(profile["first_ms"], event.time_ms)
            profile["last_ms"] = max(profile["last_ms"], event.time_ms)
    return {user: tuple(profile[name] for name in FIELDS) for user, profile in profiles.items()}


def load(database: Warehouse, log: Log, up_to: Cuts | None = None) -> None:
    """Load the log as a sink would, up to the given cuts."""
    reach = up_to or ends(log)
    warehouse.begin(database, {partition: Loaded("t1", 0) for partition in log}, 7)
    rows = {
        topic: [
            raw_row(Record(name, part, pos), "t1", event)
            for (name, part), records in log.items()
            for pos, event in enumerate(records[: reach[name, part]])
            if name == topic and event is not None
        ]
        for topic in TOPICS
    }
    warehouse.load(database, rows, {partition: Move(0, end) for partition, end in reach.items()})


def user_row(user: bytes, profile: Profile, cuts: Sequence[int]) -> UserRow:
    """A row of the stream."""
    clicks, clicks_timed, click_ms, searches, views, views_timed, view_ms, *_ = profile
    means = [total / count if count else None for total, count in ((click_ms, clicks_timed), (view_ms, views_timed))]
    return (user, shard_of(user, PARTITIONS), *profile, clicks, searches, views, *means, "low_engagement", 1, *cuts)


def snapshot(
    database: Warehouse, shard_cuts: Cuts, rows: Sequence[UserRow], generation: int = 1, incremental: bool = False
) -> Snapshot:
    """Write a snapshot of these rows."""
    cuts = {partition: Cut("t1", pos) for partition, pos in shard_cuts.items()}
    body = f'{{"number": {generation}}}'
    return warehouse.write_snapshot(database, 1_000, cuts, [rows], generation, body, {}, incremental=incremental)


def batch_rows(database: Warehouse, snapshot_id: int, window: int) -> dict[bytes, Profile]:
    """The one statement of the batch summary, up to a snapshot's cuts."""
    with working(database, writes=False) as connection:
        insert_all(connection, database.kinds, snapshot_id, window)
        found = connection.execute(text("SELECT * FROM recomputed")).all()
    return {user: tuple(values) for user, *values in found}


def batch_counts(database: Warehouse, snapshot_id: int, window: int) -> Counts:
    """What became of the events of each shard, by the other statement."""
    with reading(database) as connection:
        return read_batch_counts(connection, database.kinds, snapshot_id, window)
