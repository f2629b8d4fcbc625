"""A topic that is recreated while it is read."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing, suppress

import pytest
from kafka.admin import KafkaAdminClient
from kafka.errors import TopicAlreadyExistsError, UnknownTopicOrPartitionError

from consumers import sink, worker
from segmenter import topics, warehouse
from segmenter.errors import TopicRecreated
from segmenter.events import Event, encode, key_of
from segmenter.settings import Settings
from segmenter.store.connection import connect
from segmenter.store.shards import read_shards
from segmenter.topics.client import client_options
from tests.loop.helpers import START_MS, publish, rows
from tests.threads import Threads

Until = Callable[[Callable[[], object]], None]
USERS = [f"u{number}" for number in range(50)]


def recreate(settings: Settings, topic: str, events: list[Event]) -> None:
    """Delete a topic, recreate it and fill it, as fast as the broker can."""
    name = settings.topic_prefix + topic
    with KafkaAdminClient(**client_options(settings)) as admin, closing(topics.open_producer(settings)) as producer:
        admin.describe_topics([name])
        producer.partitions_for(name)
        while True:
            with suppress(UnknownTopicOrPartitionError):
                admin.delete_topics([name])
            with suppress(TopicAlreadyExistsError):  # not deleted yet, or the embedded broker made it for a reader
                admin.create_topics({name: {"num_partitions": settings.partitions}})
                break
        records = [(key_of(event.user_id), encode(event)) for event in events]
        topics.produce_all(producer, settings, name, records)


def read_by_worker(settings: Settings) -> int:
    with closing(connect(settings)) as client:
        return sum(state.counts.folded for state in read_shards(client, settings).values())


def read_by_sink(settings: Settings) -> int:
    with warehouse.connect(settings) as database:
        return 0 if warehouse.pending(database) else sum(warehouse.raw_rows(database).values())


def work(settings: Settings, stopping: Callable[[], bool]) -> object:
    return worker.run(settings, once=False, may_refit=False, stopping=stopping)


def load(settings: Settings, stopping: Callable[[], bool]) -> object:
    return sink.run(settings, once=False, stopping=stopping)


@pytest.mark.parametrize("events", [0, 2 * len(USERS)])
@pytest.mark.parametrize("read, run", [(read_by_worker, work), (read_by_sink, load)])
def test_whoever_is_reading_it_ends_with_its_name(
    settings: Settings,
    until: Until,
    read: Callable[[Settings], int],
    run: Callable[[Settings, Callable[[], bool]], object],
    events: int,
) -> None:
    """Whether the new one is still empty, or already longer than the old one was."""
    publish(settings, "views", [Event(user, START_MS) for user in USERS])
    stop = threading.Event()
    with Threads() as pool:
        running = pool.submit(run, settings, stop.is_set)
        try:
            until(lambda: read(settings) == len(USERS))
            recreate(settings, "views", [Event(USERS[number % len(USERS)], START_MS) for number in range(events)])
            with pytest.raises(TopicRecreated, match="views' was recreated"):
                running.result(60)
        finally:
            stop.set()
    assert read(settings) == len(USERS)


def test_nothing_of_one_that_is_filled_at_once_is_committed(settings: Settings, until: Until) -> None:
    """It is longer than the old one was before the worker's next heartbeat."""
    publish(settings, "views", [Event(user, START_MS) for user in USERS])
    stop = threading.Event()
    with Threads() as pool:
        running = pool.submit(work, settings, stop.is_set)
        try:
            until(lambda: read_by_worker(settings) == len(USERS))
            recreate(settings, "views", [Event(user, START_MS + 1) for user in 2 * USERS])
            with pytest.raises(TopicRecreated, match="views' was recreated"):
                running.result(60)
        finally:
            stop.set()
    assert {row.profile[-1] for row in rows(settings).values()} == {START_MS}
