"""Topics that do not have the same number of partitions are refused, with what to do; nothing is written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from kafka.admin import KafkaAdminClient

from consumers import sink, worker
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter.errors import PartitionsDiffer
from segmenter.operations.status import read_status
from segmenter.settings import Settings
from segmenter.topics import ShardConsumer, ensure_topics, event_topics, topic_ids
from segmenter.topics.client import client_options
from tests.loop.helpers import rows
from tests.loop.plainly import profiles_of

WHAT_TO_DO = r"every event topic needs 2 partitions \(SEGMENTER_PARTITIONS\), but .*clickstream has 3.* Set the number"
Until = Callable[[Callable[[], object]], None]


def test_topics_of_different_sizes_are_refused(settings: Settings) -> None:
    """By everyone who reads or writes them."""
    with closing(KafkaAdminClient(**client_options(settings))) as admin:
        admin.create_topics({f"{settings.topic_prefix}clickstream": {"num_partitions": 3}})
    for begin in (
        lambda: worker.run(settings, once=True),
        lambda: sink.run(settings, once=True),
        lambda: publish(settings, generate(10, 5, seed=1)),
        lambda: read_status(settings),
    ):
        with pytest.raises(PartitionsDiffer, match=WHAT_TO_DO):
            begin()
    assert rows(settings) == {}


def test_topics_that_another_process_makes_at_the_same_moment_are_taken_as_they_are(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several may start at once on a log that has none yet."""
    create, made = KafkaAdminClient.create_topics, list[str]()

    def after_another(admin: KafkaAdminClient, topics: dict[str, Any], **options: Any) -> object:
        if not made:
            made.extend(topics)
            create(admin, topics, **options)
        return create(admin, topics, **options)

    monkeypatch.setattr(KafkaAdminClient, "create_topics", after_another)
    ids = ensure_topics(settings)
    assert ids.keys() == event_topics(settings).keys() < set(made)
    assert ensure_topics(settings) == topic_ids(settings) == ids


def test_parts_of_a_shard_are_refused(settings: Settings, turning: Until) -> None:
    """A member of the group that reads other topics leads it to hand them out: no event of the others would count."""
    ensure_topics(settings)
    with closing(ShardConsumer(settings, settings.group)) as consumer:

        def holds_all() -> bool:
            consumer.poll(100, 1)
            return consumer.shards() == {0, 1}

        turning(holds_all)
        whole = consumer._listener.assigned
        consumer._listener.assigned = frozenset(tp for tp in whole if tp.partition == 0)
        assert consumer.shards() == {0}
        consumer._listener.assigned = frozenset(sorted(whole)[1:])
        with pytest.raises(PartitionsDiffer, match="gave this member parts of shards"):
            consumer.shards()


@pytest.mark.parametrize("parts", ["real"], indirect=True)
def test_a_topic_that_grows_stops_the_worker(settings: Settings, environment: dict[str, str], until: Until) -> None:
    """It ends with 2 and says what to do. What it had committed is whole. Only a real broker can make a topic grow."""
    messages = list(generate(2_000, 100, seed=1))
    publish(settings, messages)
    line = [sys.executable, "-m", "segmenter", "worker", "--no-refit"]
    process = subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, text=True)
    until(lambda: read_status(settings).folded == len(messages))
    with closing(KafkaAdminClient(**client_options(settings))) as admin:
        admin.create_partitions({f"{settings.topic_prefix}clickstream": settings.partitions + 1})
    said = process.communicate(timeout=60)[1].splitlines()[-1]
    assert process.returncode == 2
    assert said.startswith("error: ") and "partitions" in said and "has 3" in said
    assert {user: row.profile for user, row in rows(settings).items()} == profiles_of(messages)
