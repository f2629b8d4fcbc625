"""The status of a running system: how far everything is, how fresh, and which parts are away.

A part that is away does not hide the others: the status has what they say and, for the missing one, why it is away
and, if known, since when. Redis knows when a worker last reached Kafka; notes in Kafka say when a worker last reached
Redis, and when a sink last reached the warehouse.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from segmenter.errors import Unreachable
from segmenter.operations import parts
from segmenter.operations.parts import Live, Loaded, Log, Offsets, Sink
from segmenter.settings import Settings
from segmenter.settings.urls import masked
from segmenter.store.shards import StoredShard

Answer = TypeVar("Answer")


class Away(msgspec.Struct, frozen=True):
    """A part that cannot be reached."""

    reason: str
    since_ms: int | None
    """When a worker or sink last reached it, in ms since 1970; None if nobody can say."""


class Window(msgspec.Struct, frozen=True):
    """The duplicate window."""

    records: int
    spans_ms: int | None
    """How much time it spans now, at least; None if every partition fits in it as a whole, or Kafka is away."""


class ShardStatus(msgspec.Struct, frozen=True):
    """One shard. An age is None if its event has never happened."""

    shard: int
    users: int
    lag: int | None
    """How many records its worker has still to read; None if Kafka is away."""
    sink_lag: int | None
    """How many records the sink has still to read; None if Kafka or the warehouse is away."""
    beat_age_ms: int | None
    """Since the last heartbeat of its worker."""
    age_ms: int | None
    """Since the latest moment of which the worker has read all that could then be read of the log."""
    commit_age_ms: int | None
    """Since the last commit."""
    generation: int
    folded: int
    duplicates: int
    fenced: int
    problem: str | None = None
    """What is wrong: why it is parked, or what cannot be read of it; None if nothing is."""


class Status(msgspec.Struct, frozen=True):
    """A running system. What only a part that is away knows is None."""

    parts: dict[str, str]
    """The addresses of ``kafka``, ``redis`` and ``warehouse``, without passwords."""
    unreachable: dict[str, Away]
    """Those of the three that are away."""
    generation: int | None
    """The number of the current generation, 0 before the first."""
    published: int | None
    """How many records the event topics have ever held."""
    users: int | None
    folded: int | None
    duplicates: int | None
    fenced: int | None
    dead_letters: dict[str, int] | None
    """By reason."""
    lag: int | None
    sink_lag: int | None
    sink: Sink | None
    """None if the warehouse is away, or no sink has ever loaded into it."""
    duplicate_window: Window
    waiting: dict[str, list[int]]
    """What some workers are set up for and does not hold yet, and the shards whose workers are not."""
    shards: list[ShardStatus]


def read_status(settings: Settings) -> Status:
    """Ask every part of the system how far it is."""
    away: dict[str, str] = {}
    log = _ask("kafka", parts.ask_kafka, settings, away)
    live = _ask("redis", parts.ask_redis, settings, away)
    loaded = _ask("warehouse", parts.ask_warehouse, settings, away)
    unreachable = {
        part: Away(reason, parts.last_reached_ms(part, settings, log, live)) for part, reason in away.items()
    }
    return status_of(settings, log, live, loaded, unreachable)


def status_of(
    settings: Settings, log: Log | None, live: Live | None, loaded: Loaded | None, unreachable: dict[str, Away]
) -> Status:
    """The status that follows from what each part says; None for one that is away."""
    now_ms, found = (live.now_ms, live.shards) if live else (0, {})
    read = {(topic, part): at for part, each in found.items() for topic, at in (each.state.offsets or {}).items()}
    lag, sink_lag = _lag(log, read if live else None), _lag(log, loaded.offsets if loaded else None)
    shards = [_shard_status(number, stored, now_ms, lag, sink_lag) for number, stored in found.items()]
    return Status(
        parts={
            "kafka": settings.kafka,
            "redis": masked(settings.redis_url),
            "warehouse": masked(settings.warehouse_url),
        },
        unreachable=unreachable,
        generation=live.generation if live else None,
        published=sum(log.ends.values()) if log else None,
        users=sum(shard.users for shard in shards) if live else None,
        folded=sum(shard.folded for shard in shards) if live else None,
        duplicates=sum(shard.duplicates for shard in shards) if live else None,
        fenced=sum(shard.fenced for shard in shards) if live else None,
        dead_letters=_dead_letters(found.values()) if live else None,
        lag=None if lag is None else sum(lag.values()),
        sink_lag=None if sink_lag is None else sum(sink_lag.values()),
        sink=loaded.sink if loaded else None,
        duplicate_window=Window(settings.duplicate_window, log.window_ms if log else None),
        waiting=live.waiting if live else {},
        shards=shards,
    )


def _ask(part: str, ask: Callable[[Settings], Answer], settings: Settings, away: dict[str, str]) -> Answer | None:
    """What a part answers; if it cannot be reached, None, and the reason in ``away``."""
    try:
        return ask(settings)
    except Unreachable as reason:
        away[part] = " ".join(str(reason).split())
        return None


def _shard_status(
    number: int, stored: StoredShard, now_ms: int, lag: Offsets | None, sink_lag: Offsets | None
) -> ShardStatus:
    def age_ms(at_ms: int) -> int | None:
        return max(0, now_ms - at_ms) if at_ms else None

    state = stored.state
    return ShardStatus(
        shard=number,
        users=sum(tally.users for tally in state.census.values()),
        lag=_of_shard(lag, number),
        sink_lag=_of_shard(sink_lag, number),
        beat_age_ms=age_ms(state.beat_ms),
        age_ms=age_ms(state.caught_up_ms),
        commit_age_ms=age_ms(state.committed_ms),
        generation=state.generation,
        folded=state.counts.folded,
        duplicates=state.counts.duplicates,
        fenced=state.fenced,
        problem=stored.problem,
    )


def _lag(log: Log | None, read: Offsets | None) -> Offsets | None:
    """How many records of each partition are still to be read."""
    if log is None or read is None:
        return None
    return {partition: max(0, end - read.get(partition, 0)) for partition, end in log.ends.items()}


def _of_shard(lag: Offsets | None, shard: int) -> int | None:
    return None if lag is None else sum(count for (_, part), count in lag.items() if part == shard)


def _dead_letters(shards: Iterable[StoredShard]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for shard in shards:
        total.update(shard.state.counts.dead_letters)
    return dict(total)
