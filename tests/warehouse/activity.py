"""Events with sessions, pages and queries, and what plain pandas says of their users."""

from __future__ import annotations

import random
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pandas as pd

from consumers.sink import raw_row
from segmenter import warehouse
from segmenter.events import Event
from segmenter.warehouse import Loaded, Move, Partition, Warehouse
from tests.defaults import TOPICS
from tests.warehouse.world import PARTITIONS, WINDOW, Log, Record, log_of

DAY_MS = 86_400_000


def active_log(rng: random.Random, count: int = 300, users: int = 9) -> Log:
    """Events with repeats, with and without what can be counted once; some users do one kind of thing only."""
    only = dict(zip((f"u{index}" for index in range(users)), TOPICS, strict=False))
    events: list[tuple[str, Event | None]] = []
    for _ in range(count):
        user = f"u{rng.randrange(users)}"
        topic = only.get(user) or rng.choice(list(TOPICS))
        event = Event(
            user,
            rng.randrange(20 * DAY_MS),
            event_id=rng.choice([None, *(f"e{number}" for number in range(4))]),
            session_id=rng.choice([None, *(f"s{number}" for number in range(5))]),
            url=rng.choice([None, "/", "/a", "/A", "/\u00e9", "/a "]),
            duration_ms=rng.choice([None, 0, rng.randrange(DAY_MS)]),
            query=rng.choice([None, "shoes", "Shoes", "x" * 400]) if "search" in TOPICS[topic] else None,
        )
        events.append((topic, None if rng.random() < 0.1 else event))
    return log_of(events)


def begin(database: Warehouse, log: Log) -> None:
    """Make the partitions known, with nothing loaded."""
    warehouse.begin(database, {partition: Loaded("t1", 0) for partition in log}, 7)


def load_up_to(database: Warehouse, log: Log, ends: Mapping[Partition, int]) -> None:
    """Load what the warehouse lacks of the log, up to these offsets."""
    has = warehouse.loaded(database)
    rows: dict[str, list[Any]] = {}
    for (topic, part), end in ends.items():
        for pos in range(has[topic, part].next_pos, end):
            if event := log[topic, part][pos]:
                rows.setdefault(topic, []).append(raw_row(Record(topic, part, pos), "t1", event))
    moves = {at: Move(has[at].next_pos, end) for at, end in ends.items() if end > has[at].next_pos}
    warehouse.load(database, rows, moves)


def counted(log: Log, ends: Mapping[Partition, int], window: int = WINDOW) -> pd.DataFrame:
    """The events below these offsets that are no duplicates."""
    events = pd.DataFrame(
        [
            (topic, part, pos, *(getattr(event, name) for name in COLUMNS))
            for (topic, part), records in log.items()
            for pos, event in enumerate(records[: ends[topic, part]])
            if event is not None
        ],
        columns=["topic", "part", "pos", *COLUMNS],
    ).astype(dict.fromkeys(("event_id", "session_id", "url", "query", "duration_ms"), "object"))
    named = events[events.event_id.notna()]
    before = named.groupby(["topic", "part", "user_id", "event_id"]).pos.shift()
    repeats = named.index[(named.pos - before) <= window]
    return events.drop(repeats)


COLUMNS = ("user_id", "time_ms", "event_id", "session_id", "url", "query", "duration_ms")


def summaries(log: Log, ends: Mapping[Partition, int], window: int = WINDOW) -> dict[str, dict[str, Any]]:
    """What ``user_activity_summary`` must say of each user, without the columns that a clock has a part in."""
    return {user: _summary(mine) for user, mine in counted(log, ends, window).groupby("user_id")}


def _summary(mine: pd.DataFrame) -> dict[str, Any]:
    of = {topic: mine[mine.topic == topic] for topic in TOPICS}
    clicks, searches, articles = of.values()
    return {
        "total_clicks": len(clicks),
        "avg_time_spent_on_clicks": mean_seconds(clicks.duration_ms.dropna().tolist()),
        "total_search_queries": len(searches),
        "total_views": len(articles),
        "avg_time_spent_on_articles": mean_seconds(articles.duration_ms.dropna().tolist()),
        "distinct_pages": mine.url.nunique(),
        "distinct_queries": mine["query"].nunique(),
        "active_days": (mine.time_ms // DAY_MS).nunique(),
        "sessions": mine.session_id.nunique(),
        "events_per_active_day": rounded(Decimal(len(mine)) / (mine.time_ms // DAY_MS).nunique()),
        "first_activity": str(pd.Timestamp(int(mine.time_ms.min()) // 1000, unit="s")),
        "last_activity": str(pd.Timestamp(int(mine.time_ms.max()) // 1000, unit="s")),
    }


def mean_seconds(durations: list[int]) -> float | None:
    return rounded(Decimal(sum(durations)) / len(durations) / 1000) if durations else None


def rounded(number: Decimal) -> float:
    return float(number.quantize(Decimal("0.01"), ROUND_HALF_UP))


def every_partition() -> list[Partition]:
    return [(topic, part) for topic in TOPICS for part in range(PARTITIONS)]
