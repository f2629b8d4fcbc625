"""How far everything is, and what does not answer.

A part that is away takes nothing else with it: what the others say is told and, of the missing one, why, and since when
as far as anybody knows. The worker knows of Kafka, by way of Redis, and of Redis, by way of its notes in Kafka; the
sink knows of the warehouse, by way of its own notes there.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from segmenter import topics, warehouse
from segmenter.errors import Unreachable
from segmenter.settings import Settings
from segmenter.settings.urls import masked
from segmenter.shards.state import ShardState
from segmenter.store.connection import clock_ms, connect
from segmenter.store.meta import check
from segmenter.store.models import read_model
from segmenter.store.shards import read_shards

Offsets = dict[tuple[str, int], int]
"""An offset for each topic, without prefix, and partition."""

Said = TypeVar("Said")


class Log(NamedTuple):
    """What Kafka says: where partitions end, and how old the oldest record in a duplicate window is, at the least."""

    ends: Offsets
    window_ms: int | None
    """None: every window holds its whole partition."""


class Live(NamedTuple):
    """What Redis says."""

    now_ms: int
    generation: int
    shards: dict[int, ShardState]


def overview(settings: Settings) -> dict[str, Any]:
    """Where the parts are and which are away, each shard's state, and the sums over all.

    What only a part that is away could have said is None. ``since_ms`` is in milliseconds since 1970.
    """
    away: dict[str, str] = {}
    log = _asked("kafka", _log, settings, away)
    live = _asked("redis", _live, settings, away)
    loaded = _asked("warehouse", _loaded, settings, away)
    states = live.shards if live else {}
    read = {(topic, number): at for number, state in states.items() for topic, at in (state.offsets or {}).items()}
    lag = _behind(log, read if live else None)
    sink_lag = _behind(log, loaded)
    shards = [
        _shard(number, state, live.now_ms) | {"lag": _of(lag, number), "sink_lag": _of(sink_lag, number)}
        for number, state in sorted(states.items())
        if live
    ]
    return {
        "parts": {
            "kafka": settings.kafka,
            "redis": masked(settings.redis_url),
            "warehouse": masked(settings.warehouse_url),
        },
        "unreachable": {
            part: {"reason": reason, "since_ms": _last_reached(part, settings, log, live)}
            for part, reason in away.items()
        },
        "generation": live.generation if live else None,
        "published": sum(log.ends.values()) if log else None,
        **{name: _sum(shards, name) if live else None for name in ("users", "folded", "duplicates", "fenced")},
        "dead_letters": _dead_letters(states) if live else None,
        "lag": None if lag is None else sum(lag.values()),
        "sink_lag": None if sink_lag is None else sum(sink_lag.values()),
        "duplicate_window": {"records": settings.duplicate_window, "spans_ms": log.window_ms if log else None},
        "shards": shards,
    }


def _asked(part: str, ask: Callable[[Settings], Said], settings: Settings, away: dict[str, str]) -> Said | None:
    """What a part says; if it cannot be reached, None, and the reason in ``away``."""
    try:
        return ask(settings)
    except Unreachable as reason:
        away[part] = " ".join(str(reason).split())
        return None


def _log(settings: Settings) -> Log:
    ends = topics.ends(settings, topics.topic_ids(settings))
    starts = topics.window_starts_ms(settings, ends)
    ages = [max(0, _now_ms() - start) for start in starts.values()]
    plain = {(topic.removeprefix(settings.topic_prefix), part): end for (topic, part), end in ends.items()}
    return Log(plain, min(ages, default=None))


def _live(settings: Settings) -> Live:
    client = connect(settings)
    try:
        check(client, settings)
        model = read_model(client, settings)
        return Live(clock_ms(client), model.number if model else 0, read_shards(client, settings))
    finally:
        client.close()


def _loaded(settings: Settings) -> Offsets:
    with warehouse.connect(settings.warehouse_url) as house:
        found = {} if warehouse.pending(house) else warehouse.loaded(house)
    return {partition: position.next_pos for partition, position in found.items()}


def _last_reached(part: str, settings: Settings, log: Log | None, live: Live | None) -> int | None:
    """When a worker or sink last reached a part that is away, in ms since 1970; None if nobody can say."""
    if part == "kafka":
        return max((state.log_seen_ms for state in live.shards.values()), default=0) or None if live else None
    group = settings.group if part == "redis" else topics.sink_group(settings)
    return topics.last_noted(settings, group) if log else None


def _shard(number: int, state: ShardState, now_ms: int) -> dict[str, Any]:
    times = {"beat_age_ms": state.beat_ms, "age_ms": state.caught_up_ms, "commit_age_ms": state.committed_ms}
    return {
        "shard": number,
        "users": sum(tally.users for tally in state.census.values()),
        **{name: max(0, now_ms - at_ms) if at_ms else None for name, at_ms in times.items()},
        "generation": state.generation,
        "folded": state.counts.folded,
        "duplicates": state.counts.duplicates,
        "fenced": state.fenced,
    }


def _behind(log: Log | None, read: Offsets | None) -> Offsets | None:
    """How many offsets of each partition are still to be read."""
    if log is None or read is None:
        return None
    return {partition: max(0, end - read.get(partition, 0)) for partition, end in log.ends.items()}


def _of(behind: Offsets | None, shard: int) -> int | None:
    return None if behind is None else sum(lag for (_, part), lag in behind.items() if part == shard)


def _sum(shards: list[dict[str, Any]], name: str) -> int:
    return sum(shard[name] for shard in shards)


def _dead_letters(states: dict[int, ShardState]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for state in states.values():
        total.update(state.counts.dead_letters)
    return dict(total)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
