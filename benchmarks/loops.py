"""The three loops that are compared; each returns events per second.

A clock starts when the first records have been polled, so that neither connecting nor joining the group counts.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import redis
from kafka import TopicPartition
from river import cluster

from consumers import worker
from consumers.worker.loop import POLL_RECORDS, WorkerResult
from segmenter.events import Event, Rules, decode
from segmenter.model.features import features
from segmenter.model.profiles import fields
from segmenter.settings import Settings
from segmenter.topics import Position, Record, event_topics
from segmenter.topics.reader import open_consumer

MEASURED = {"duration": "duration_ms", "amount": "amount"}
"""The field of an event that is measured."""


class Log(NamedTuple):
    """What was published, and where each partition of it begins."""

    settings: Settings
    start: Mapping[Position, int]
    events: int


class Worked(NamedTuple):
    """What the worker reported, and the seconds from its first record until it had settled and left."""

    result: WorkerResult
    settled_seconds: float


def bare(log: Log) -> float:
    """Poll and decode every event, no more."""
    rules, kinds = Rules.of(log.settings), event_topics(log.settings)

    def each(record: Record) -> None:
        kind = kinds[record.topic]
        event = decode(record.value, record.key, kind, record.partition, record.timestamp, rules)
        assert isinstance(event, Event), event

    return _rate(log, log.events, each)


def naive(log: Log, events: int) -> float:
    """A first version, on the first ``events`` events.

    For each event: parse the JSON; add to the user's hash and read it back in one pipeline (as redis-py makes it, a
    transaction); learn and predict the features by river's K-Means; write the segment.
    """
    prefix, kinds = fresh_name(), event_topics(log.settings)
    names, judging = fields(log.settings.kinds)[:-2], log.settings.judging
    model = cluster.KMeans(n_clusters=3, seed=1)
    client = redis.Redis.from_url(log.settings.redis_url)

    def each(record: Record) -> None:
        event = json.loads(record.value or b"null")
        kind, key = kinds[record.topic], f"{prefix}:{event['user_id']}"
        pipeline = client.pipeline()
        count, *measured = kind.fields
        pipeline.hincrby(key, count, 1)
        if measured and MEASURED[kind.measure] in event:
            times, total = measured
            pipeline.hincrby(key, times, 1)
            pipeline.hincrby(key, total, event[MEASURED[kind.measure]])
        pipeline.hgetall(key)
        found = pipeline.execute()[-1]
        profile = {name: int(found.get(name.encode(), 0)) for name in names}
        point = {name: value or 0 for name, value in features(profile, judging).items()}
        model.learn_one(point)  # type: ignore[no-untyped-call]
        client.hset(key, "segment", model.predict_one(point))  # type: ignore[no-untyped-call]

    try:
        return _rate(log, events, each)
    finally:
        forget(client, prefix)


def work(log: Log, on_progress: Callable[[int], None] = lambda records: None) -> Worked:
    """The worker, from an empty store until everyone is judged by a model that is as good as it gets."""
    last = 0.0

    def note(records: int) -> None:
        nonlocal last
        last = time.monotonic()
        on_progress(records)

    own = dataclasses.replace(log.settings, key_prefix=fresh_name(), group=fresh_name())
    try:
        result = worker.run(own, once=True, on_progress=note)
        settling = time.monotonic() - last
    finally:
        forget(redis.Redis.from_url(own.redis_url), own.key_prefix)
    assert (result.records, result.dead_letters) == (log.events, 0), result
    return Worked(result, result.seconds + settling)


def fresh_name() -> str:
    """A prefix or a group that nobody has used."""
    return f"bench-{secrets.token_hex(4)}"


def forget(client: redis.Redis, prefix: str) -> None:
    """Remove every key under ``prefix``: the loops that follow find Redis as it was."""
    with client:
        for key in client.scan_iter(f"{prefix}:*", count=1_000):
            client.unlink(key)


def _rate(log: Log, wanted: int, each: Callable[[Record], None]) -> float:
    done, began = 0, 0.0
    for records in _polls(log):
        began = began or time.monotonic()
        for record in records[: wanted - done]:
            each(record)
        done += len(records)
        if done >= wanted:
            break
    return wanted / (time.monotonic() - began)


def _polls(log: Log) -> Iterator[list[Record]]:
    """The log from its beginning on, by a client with the options of the worker's."""
    consumer = open_consumer(log.settings)
    try:
        consumer.assign([TopicPartition(*position) for position in log.start])
        for position, offset in log.start.items():
            consumer.seek(TopicPartition(*position), offset)
        while True:
            yield from consumer.poll(100, POLL_RECORDS).values()
    finally:
        consumer.close()
