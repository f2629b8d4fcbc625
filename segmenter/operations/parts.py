"""What each part of a running system says of how far it is. Each raises `Unreachable` if it is away."""

from __future__ import annotations

import time
from contextlib import closing
from typing import NamedTuple

import msgspec

from segmenter import topics, warehouse
from segmenter.events import Rules
from segmenter.settings import Settings
from segmenter.store.agreement import living_owners, waiting
from segmenter.store.connection import clock_ms, connect
from segmenter.store.meta import check, decode_rules, encoded_rules
from segmenter.store.models import read_model
from segmenter.store.shards import StoredShard, read_stored_shards

Offsets = dict[tuple[str, int], int]
"""An offset for each topic, without prefix, and partition."""


class Sink(msgspec.Struct, frozen=True):
    """The sink. An age is None if its event has never happened."""

    beat_age_ms: int | None
    """Since its last heartbeat."""
    age_ms: int | None
    """Since the latest moment of which it has loaded all that could then be read of the log."""
    loaded_age_ms: int | None
    """Since it last loaded anything."""


class Loaded(NamedTuple):
    """What the warehouse says."""

    offsets: Offsets
    sink: Sink | None


class Log(NamedTuple):
    """What Kafka says."""

    ends: Offsets
    window_ms: int | None


class Live(NamedTuple):
    """What Redis says."""

    now_ms: int
    generation: int
    shards: dict[int, StoredShard]
    waiting: dict[str, list[int]]


def ask_kafka(settings: Settings) -> Log:
    """How far the topics of the events go."""
    ends = topics.ends(settings, topics.topic_ids(settings))
    starts = topics.window_starts_ms(settings, ends)
    ages = [max(0, time.time_ns() // 1_000_000 - start) for start in starts.values()]
    plain = {(topic.removeprefix(settings.topic_prefix), part): end for (topic, part), end in ends.items()}
    return Log(plain, min(ages, default=None))


def ask_redis(settings: Settings) -> Live:
    """How far the workers are."""
    with closing(connect(settings)) as client:
        check(client, settings)
        encoded = encoded_rules(client, settings)
        rules = decode_rules(settings, encoded) if encoded else Rules.of(settings)
        model = read_model(client, settings)
        found = read_stored_shards(client, settings, rules.partitions)
        now_ms = clock_ms(client)
    owners = living_owners(found, now_ms, settings.stale_after_ms)
    waits = waiting(owners, rules.kinds, model.features if model else ())
    return Live(now_ms, model.number if model else 0, found, waits)


def ask_warehouse(settings: Settings) -> Loaded:
    """How far the sink is."""
    with warehouse.connect(settings) as database:
        if warehouse.pending(database):
            return Loaded({}, None)
        offsets = {partition: position.next_pos for partition, position in warehouse.loaded(database).items()}
        heartbeat = warehouse.read_sink_heartbeat(database)
    return Loaded(offsets, None if heartbeat.beat_age_ms is None else Sink(*heartbeat))


def last_reached_ms(part: str, settings: Settings, log: Log | None, live: Live | None) -> int | None:
    """When a worker or sink last reached the part that is away, as far as the others know; in ms since 1970."""
    if part == "kafka":
        return max((stored.state.log_seen_ms for stored in live.shards.values()), default=0) or None if live else None
    if log is None:
        return None
    return topics.store_reached_ms(settings) if part == "redis" else topics.warehouse_reached_ms(settings)
