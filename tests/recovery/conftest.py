"""What only Apache Kafka can do is tested on real parts alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from kafka import KafkaConsumer, TopicPartition

from tests.conftest import REAL

collect_ignore = [] if REAL else ["test_after_outage.py", "test_expired.py"]


@pytest.fixture
def log_begins(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int, int], None]:
    """Makes a topic's partition begin at an offset, as if the records before it had expired; any broker will do."""
    begins: dict[TopicPartition, int] = {}
    ask = KafkaConsumer.beginning_offsets

    def answer(
        consumer: KafkaConsumer, partitions: Iterable[TopicPartition], **options: object
    ) -> dict[TopicPartition, int]:
        return {tp: begins.get(tp, offset) for tp, offset in ask(consumer, partitions, **options).items()}

    def expire(topic: str, part: int, offset: int) -> None:
        begins[TopicPartition(topic, part)] = offset

    monkeypatch.setattr(KafkaConsumer, "beginning_offsets", answer)
    return expire
