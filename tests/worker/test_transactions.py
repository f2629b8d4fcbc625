"""Producers that use transactions: on Apache Kafka, since the embedded broker has none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from kafka import KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient

from consumers import sink, worker
from segmenter import topics
from segmenter.client import SegmentClient
from segmenter.events import Event, encode, key_of
from segmenter.operations.status import read_status
from segmenter.settings import Settings
from segmenter.store.connection import connect
from segmenter.store.shards import read_shards
from segmenter.topics.client import client_options
from tests.defaults import TOPICS
from tests.loop.helpers import START_MS, folded, publish, working

Until = Callable[[Callable[[], object]], None]

USERS = [f"u{number}" for number in range(20)]
EVENTS = [Event(user, START_MS) for user in USERS]


pytestmark = pytest.mark.parametrize("parts", ["real"], indirect=True)


@pytest.fixture
def producer(settings: Settings) -> Iterator[KafkaProducer]:
    """A producer whose records count when it commits; topics are there."""
    topics.ensure_topics(settings)
    with closing(KafkaProducer(**client_options(settings), transactional_id=settings.key_prefix)) as opened:
        opened.init_transactions()
        yield opened


def begin(producer: KafkaProducer, settings: Settings) -> None:
    """Write an event of each user to each topic, in a transaction that stays open."""
    producer.begin_transaction()
    for topic in TOPICS:
        for event in EVENTS:
            producer.send(settings.topic_prefix + topic, key=key_of(event.user_id), value=encode(event))
    producer.flush()


def caught_up_ms(settings: Settings) -> int:
    """Since when the shard that is the furthest behind was at the end of the log."""
    with closing(connect(settings)) as client:
        found = read_shards(client, settings)
    return min(found[number].caught_up_ms if number in found else 0 for number in range(settings.partitions))


def lags(settings: Settings) -> tuple[int | None, int | None]:
    found = read_status(settings)
    return found.lag, found.sink_lag


def test_lookups_stay_fresh_while_a_transaction_is_open(
    settings: Settings, producer: KafkaProducer, until: Until
) -> None:
    """All that may be read has been read; the events count once they are committed, and never if they are not."""
    publish(settings, "views", EVENTS)
    with working(settings), SegmentClient(settings.redis_url, key_prefix=settings.key_prefix) as client:

        def is_fresh(after_ms: int) -> bool:
            fresh = not any(answer.stale for answer in client.lookup_many(USERS))
            return fresh and caught_up_ms(settings) > after_ms

        until(lambda: folded(settings) == len(EVENTS))
        begin(producer, settings)
        publish(settings, "views", EVENTS)
        for _ in range(3):
            before = caught_up_ms(settings)
            until(lambda before=before: is_fresh(before))  # type: ignore[misc]
        assert (folded(settings), read_status(settings).lag) == (len(EVENTS), 0)
        producer.commit_transaction()
        until(lambda: folded(settings) == 5 * len(EVENTS))
        begin(producer, settings)
        producer.abort_transaction()
        publish(settings, "views", EVENTS)
        until(lambda: folded(settings) == 6 * len(EVENTS))
        until(lambda: is_fresh(caught_up_ms(settings)) and read_status(settings).lag == 0)


def test_a_run_that_is_to_end_does_not_wait_for_a_transaction(settings: Settings, producer: KafkaProducer) -> None:
    """It takes in what may be read, leaves lookups fresh, and the next one takes in what has been committed."""
    publish(settings, "views", EVENTS)
    begin(producer, settings)
    publish(settings, "views", EVENTS)
    assert worker.run(settings, once=True, may_refit=False).records == len(EVENTS)
    assert sink.run(settings, once=True).loaded == {"views": len(EVENTS)}
    assert caught_up_ms(settings) > 0 and lags(settings) == (0, 0)
    producer.commit_transaction()
    assert worker.run(settings, once=True, may_refit=False).records == 4 * len(EVENTS)
    assert sink.run(settings, once=True).loaded == dict.fromkeys(TOPICS, len(EVENTS)) | {"views": 2 * len(EVENTS)}


@pytest.mark.parametrize("end", ["commit_transaction", "abort_transaction"])
def test_a_log_that_ends_in_records_of_kafka_itself_has_been_read(
    end: str, settings: Settings, producer: KafkaProducer
) -> None:
    """What is left after the last event is not lag, and may expire: the next run goes on after it.

    What was aborted counts neither in the store nor in the warehouse.
    """
    publish(settings, "views", EVENTS)
    begin(producer, settings)
    getattr(producer, end)()
    counting = (4 if end == "commit_transaction" else 1) * len(EVENTS)
    for new in (counting, 0):
        assert worker.run(settings, once=True, may_refit=False).records == new
        assert sum(sink.run(settings, once=True).loaded.values()) == new
        assert folded(settings) == counting
        assert caught_up_ms(settings) > 0 and lags(settings) == (0, 0)
        with KafkaAdminClient(**client_options(settings)) as admin:
            ends = topics.ends(settings, topics.topic_ids(settings))
            admin.delete_records({TopicPartition(*at): offset for at, offset in ends.items()})
    publish(settings, "views", EVENTS)
    assert worker.run(settings, once=True, may_refit=False).records == len(EVENTS)
    assert sink.run(settings, once=True).loaded == {"views": len(EVENTS)}
