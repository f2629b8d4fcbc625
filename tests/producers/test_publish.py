"""What is published is on the log: keyed by user, in order, in the partition that its key says."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence

import pytest
from kafka import KafkaProducer

from producers import publish as publishing
from producers.messages import Message, Refused, RefusedRows
from producers.publish import Published, publish
from producers.synthetic.generator import generate
from segmenter.errors import PartitionsDiffer, Unreachable
from segmenter.events.sharding import shard_of
from segmenter.settings import Settings
from segmenter.topics import drop_producer, ensure_topics, open_producer, produce_all
from segmenter.topics.client import client_options
from tests.defaults import TOPICS
from tests.producers.way_of_brokers import LossyWay

OnTheLog = Callable[[], list[tuple[str, int, bytes | None, bytes | None]]]
EVENTS, BROKEN = 3_000, 24


def assert_in_order(
    found: Iterable[tuple[str, int, bytes | None, bytes | None]], sent: Sequence[Message], partitions: int
) -> None:
    """Each partition holds what was sent to it, and nothing else."""
    for topic in TOPICS:
        for part in range(partitions):
            here = [(key, value) for at, number, key, value in found if (at, number) == (topic, part)]
            wanted = [
                (message.key, message.value)
                for message in sent
                if message.topic == topic and shard_of(message.key, partitions) == part
            ]
            assert here == wanted


def test_every_message_is_on_the_log_once_and_in_order(settings: Settings, on_the_log: OnTheLog) -> None:
    sent = list(generate(EVENTS, 100, 1, invalid=BROKEN))
    reported: list[int] = []
    published = publish(settings, iter(sent), reported.append)

    assert published._replace(seconds=0.0) == Published(EVENTS + BROKEN, EVENTS + BROKEN, {}, 0.0)
    assert sum(reported) == EVENTS + BROKEN
    assert len(on_the_log()) == EVENTS + BROKEN
    assert_in_order(on_the_log(), sent, settings.partitions)


def test_one_of_the_brokers_that_are_named_is_enough(settings: Settings, on_the_log: OnTheLog) -> None:
    """Whichever of them is away."""
    nobody = "127.0.0.1:1"
    for brokers in (f"{nobody},{settings.kafka}", f"{settings.kafka},{nobody}"):
        assert publish(dataclasses.replace(settings, kafka=brokers), generate(20, 5, 1)).published == 20
    assert len(on_the_log()) == 40


def test_what_is_sent_again_is_on_the_log_once_and_in_order(settings: Settings, on_the_log: OnTheLog) -> None:
    """The brokers have appended it, and their answer got lost: who publishes cannot know, and sends it again."""
    sent = list(generate(EVENTS, 100, 1))
    ensure_topics(settings)
    with LossyWay(settings.kafka, lose={1, 2, 3}) as way:
        published = publish(dataclasses.replace(settings, kafka=way.kafka), sent)
        assert way.lost == 3
    assert published.published == EVENTS
    assert_in_order(on_the_log(), sent, settings.partitions)


def test_the_sum_holds_and_refused_rows_are_tallied_by_reason(settings: Settings, on_the_log: OnTheLog) -> None:
    good = list(generate(10, 3, 1))
    bad = [Refused(row, "no time" if row % 2 else "no user", f"row {row}") for row in range(20)]
    published = publish(settings, [*bad, *good])
    assert published.refused == {
        "no user": RefusedRows(10, (0, 2, 4, 6, 8), "row 0"),
        "no time": RefusedRows(10, (1, 3, 5, 7, 9), "row 1"),
    }
    assert (published.read, published.published) == (30, 10)
    assert len(on_the_log()) == 10


def test_other_partition_counts_are_refused_before_anything_is_published(
    settings: Settings, on_the_log: OnTheLog
) -> None:
    ensure_topics(settings)
    with pytest.raises(PartitionsDiffer):
        publish(dataclasses.replace(settings, partitions=settings.partitions + 1), generate(10, 3, 1))
    assert on_the_log() == []


def test_what_is_not_acknowledged_is_not_called_published(settings: Settings) -> None:
    """The producer is dropped with a record in its hands: whoever waits for that record is told."""
    ensure_topics(settings)
    with LossyWay(settings.kafka, lose=range(1, 10**9)) as way:
        producer = open_producer(dataclasses.replace(settings, kafka=way.kafka))

        def until_it_is_dropped() -> Iterator[tuple[bytes, bytes]]:
            yield b"u1", b"somewhere on the way"
            drop_producer(producer)

        with pytest.raises(Unreachable):
            produce_all(producer, settings, f"{settings.topic_prefix}views", until_it_is_dropped())


@pytest.mark.parametrize("in_flight", [0, 10_000])
def test_what_is_not_acknowledged_does_not_count_as_published(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, in_flight: int
) -> None:
    """Be it waited for while others are sent, or at the end. The producer gives up after a second."""
    ensure_topics(settings)
    reported: list[int] = []
    monkeypatch.setattr(publishing, "IN_FLIGHT", in_flight)
    with LossyWay(settings.kafka, lose=range(1, 10**9)) as way:
        own = dataclasses.replace(settings, kafka=way.kafka)
        options = client_options(own) | {"acks": "all", "enable_idempotence": True}
        impatient = {"delivery_timeout_ms": 1_000, "request_timeout_ms": 900, "linger_ms": 0}
        monkeypatch.setattr(publishing, "open_producer", lambda _: KafkaProducer(**options | impatient))
        with pytest.raises(Unreachable):
            publish(own, generate(1, 1, 1), reported.append)
    assert reported == []


@pytest.mark.timeout(60)
@pytest.mark.parametrize("in_flight", [0, 10_000])
def test_brokers_that_fall_silent_end_it_with_a_named_error(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, in_flight: int
) -> None:
    """It neither waits for ever nor ends with the error of a library, though records are still on their way."""
    ensure_topics(settings)
    monkeypatch.setattr(publishing, "IN_FLIGHT", in_flight)
    monkeypatch.setattr(publishing, "ACK_S", 0.5)
    with LossyWay(settings.kafka, lose=range(1, 10**9)) as way, pytest.raises(Unreachable, match="Kafka at "):
        publish(dataclasses.replace(settings, kafka=way.kafka), generate(10, 3, 1))


def test_few_records_wait_for_their_acknowledgement_however_many_there_are(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a file of any length can be published: no more of it is in memory."""
    monkeypatch.setattr(publishing, "IN_FLIGHT", 20)
    read = acknowledged = most = 0

    def source() -> Iterator[Message]:
        nonlocal read, most
        for message in generate(EVENTS, 100, 1):
            read += 1
            most = max(most, read - acknowledged)
            yield message

    def note(count: int) -> None:
        nonlocal acknowledged
        acknowledged += count

    assert publish(settings, source(), note).published == acknowledged == EVENTS
    assert most <= 21
