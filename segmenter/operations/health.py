"""Health checks: what is wrong with the worker, the sink, or the whole system.

A check of one role asks the one part that the role writes to, and imports the client of no other: a health check runs
every few seconds.
"""

from __future__ import annotations

from contextlib import closing
from typing import Literal

from segmenter.errors import Unreachable
from segmenter.settings import Settings

Role = Literal["worker", "sink", "all"]

SINK_SILENT_AFTER_MS = 30_000
"""A sink without heartbeats for this long is not running; it may wait some seconds for Kafka or its database."""

STUCK_AFTER_MS = 60_000
"""A worker or sink that for this long has neither been at the end of the log nor moved on is stuck."""


def problems(settings: Settings, role: Role = "all") -> list[str]:
    """One line for each problem.

    ``worker`` asks Redis whether each shard has a worker that is alive and moves on, ``sink`` asks the warehouse the
    same of the sink, ``all`` asks both, and whether Kafka can be reached. Raises `Unreachable` when a part cannot be
    reached; with ``all`` the others are asked first, and the message has a line for each problem.
    """
    if role != "all":
        return _CHECKS[role](settings)
    found: list[str] = []
    away: list[str] = []
    for check in (_kafka_problems, _worker_problems, _sink_problems):
        try:
            found += check(settings)
        except Unreachable as reason:
            away.append(str(reason))
    if away:
        raise Unreachable("\n".join([*away, *found]))
    return found


def _worker_problems(settings: Settings) -> list[str]:
    from segmenter.store.connection import clock_ms, connect
    from segmenter.store.meta import check, stored_partitions
    from segmenter.store.shards import read_stored_shards

    with closing(connect(settings)) as client:
        check(client, settings)
        partitions = stored_partitions(client, settings) or settings.partitions
        shards, now_ms = read_stored_shards(client, settings, partitions), clock_ms(client)

    def age_ms(at_ms: int) -> int | None:
        return max(0, now_ms - at_ms) if at_ms else None

    found = []
    for number in range(partitions):
        stored = shards.get(number)
        if stored and stored.problem:
            found.append(f"shard {number} {stored.problem}")
            continue
        if stored is None or not (state := stored.state).beat_ms:
            found.append(f"shard {number} is stuck: no worker has acquired it. Start `segmenter worker`.")
            continue
        ages = age_ms(state.beat_ms), age_ms(state.caught_up_ms), age_ms(state.committed_ms)
        if reason := stuck("worker", *ages, settings.stale_after_ms):
            found.append(f"shard {number} is stuck: {reason}")
    return found


def _sink_problems(settings: Settings) -> list[str]:
    from segmenter import warehouse

    with warehouse.connect(settings) as database:
        warehouse.require_schema(database)
        heartbeat = warehouse.read_sink_heartbeat(database)
    if heartbeat.beat_age_ms is None:
        return ["no sink has loaded into the warehouse. Start `segmenter sink`."]
    reason = stuck("sink", *heartbeat, SINK_SILENT_AFTER_MS)
    return [f"the sink is stuck: {reason}"] if reason else []


def _kafka_problems(settings: Settings) -> list[str]:
    from segmenter import topics

    topics.topic_ids(settings)
    return []


def stuck(
    who: str, beat_age_ms: int | None, age_ms: int | None, moved_age_ms: int | None, silent_after_ms: int
) -> str | None:
    """Why a worker or sink is stuck, None if it is not, by the ages of its last signs of life and of progress.

    >>> stuck("sink", beat_age_ms=400, age_ms=900, moved_age_ms=None, silent_after_ms=5_000)
    >>> stuck("sink", beat_age_ms=7_000, age_ms=900, moved_age_ms=None, silent_after_ms=5_000)
    'its sink has been silent for 7 s. Is one running?'
    """
    silent_ms = min(age for age in (beat_age_ms, moved_age_ms) if age is not None)
    if silent_ms > silent_after_ms:
        return f"its {who} has been silent for {silent_ms / 1_000:,.0f} s. Is one running?"
    moved = [age for age in (age_ms, moved_age_ms) if age is not None]
    if not moved or min(moved) > STUCK_AFTER_MS:
        since = f"for {min(moved) / 1_000:,.0f} s" if moved else "ever"
        return f"it has not moved on or been at the end of the log {since}. The log lines of the {who} say why."
    return None


_CHECKS = {"worker": _worker_problems, "sink": _sink_problems}
