"""What worker and sink commit to Kafka for tools that show lag, and the note that goes with it."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.structs import OffsetAndMetadata

from consumers import sink
from segmenter.events import Event
from segmenter.settings import Settings
from segmenter.store.connection import connect
from segmenter.store.meta import group_in_use
from segmenter.topics import (
    ends,
    ensure_topics,
    event_topics,
    sink_group,
    store_reached_ms,
    warehouse_reached_ms,
)
from segmenter.topics.client import client_options
from segmenter.topics.lag_offsets import noted, store_name
from segmenter.topics.reader import open_consumer
from tests.loop.helpers import START_MS, in_background, publish, working

Until = Callable[[Callable[[], object]], None]


def load(settings: Settings) -> Any:
    return in_background(lambda stopping: sink.run(settings, once=False, stopping=stopping))


def workers_group(settings: Settings) -> str:
    with closing(connect(settings)) as client:
        return group_in_use(client, settings)


@pytest.mark.parametrize(("run", "group_of"), [(working, workers_group), (load, sink_group)], ids=["worker", "sink"])
def test_kafka_is_told_how_far_a_reader_is_and_when_it_was_well(
    settings: Settings,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
    run: Callable[[Settings], Any],
    group_of: Callable[[Settings], str],
) -> None:
    """Its offsets, as any tool sees them; and the time in ms since 1970, which not all brokers keep."""
    notes: list[str] = []
    for name in ("commit", "commit_async"):
        commit = getattr(KafkaConsumer, name)

        def noting(
            consumer: KafkaConsumer,
            offsets: Mapping[TopicPartition, OffsetAndMetadata],
            commit: Any = commit,
            **options: Any,
        ) -> Any:
            notes.extend(each.metadata for each in offsets.values())
            return commit(consumer, offsets, **options)

        monkeypatch.setattr(KafkaConsumer, name, noting)
    publish(settings, "views", [Event(f"u{number}", START_MS) for number in range(40)])
    end = ends(settings, event_topics(settings))
    began_ms = time.time_ns() // 1_000_000
    with run(settings):

        def told() -> dict[tuple[str, int], int]:
            group = group_of(settings)
            with KafkaAdminClient(**client_options(settings)) as admin:
                committed = admin.list_group_offsets(group)[group]
            return {(tp.topic, tp.partition): found.offset for tp, found in committed.items() if found.offset >= 0}

        until(lambda: told() == end)
    reached = [int(found[1]) for note in notes if (found := re.match(r"reached_ms=(\d+)", note))]
    assert len(reached) == len(notes) > 0
    assert began_ms <= min(reached) <= max(reached) <= time.time_ns() // 1_000_000


@pytest.fixture
def notes_are_kept(parts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the broker drops them, as Tansu 0.6 does: then the test adds them to its answers."""
    if parts == "real":
        return
    kept: dict[tuple[str, TopicPartition], str] = {}
    commit, ask = KafkaConsumer.commit, KafkaAdminClient.list_group_offsets

    def keep(consumer: KafkaConsumer, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        kept.update({(consumer.config["group_id"], tp): each.metadata for tp, each in offsets.items()})
        commit(consumer, offsets)

    def answer(admin: KafkaAdminClient, group: str) -> dict[str, dict[TopicPartition, OffsetAndMetadata]]:
        (found,) = ask(admin, group).values()
        return {group: {tp: each._replace(metadata=kept.get((group, tp), "")) for tp, each in found.items()}}

    monkeypatch.setattr(KafkaConsumer, "commit", keep)
    monkeypatch.setattr(KafkaAdminClient, "list_group_offsets", answer)


@pytest.mark.parametrize("newest_in", ["", ".1"])
def test_a_part_was_last_reached_when_the_newest_note_of_its_own_readers_says(
    settings: Settings, notes_are_kept: None, newest_in: str
) -> None:
    """Of any group that the workers of this very store ever had; the sink and those of another store tell nothing."""
    ensure_topics(settings)
    other = store_name(dataclasses.replace(settings, key_prefix="other"))
    assert (store_reached_ms(settings), warehouse_reached_ms(settings)) == (None, None)
    for group, part, at_ms, store in (
        (f"{settings.group}.0a1b2c3d{newest_in}", 0, 6_000, store_name(settings)),
        (f"{settings.group}.0a1b2c3d", 1, 5_000, store_name(settings)),
        (f"{settings.group}.0a1b2c3d.2", 0, 4_000, store_name(settings)),
        (f"{settings.group}.99999999", 0, 9_000, other),
        (sink_group(settings), 0, 7_000, ""),
        (sink_group(settings), 1, 8_000, ""),
        (f"{settings.group}s.0a1b2c3d", 0, 9_500, store_name(settings)),
        (f"{settings.group}s-sink", 0, 9_900, ""),
    ):
        with closing(open_consumer(settings, group_id=group)) as consumer:
            position = f"{settings.topic_prefix}views", part
            consumer.assign([TopicPartition(*position)])
            consumer.commit(noted({position: 0}, at_ms, store))
    assert (store_reached_ms(settings), warehouse_reached_ms(settings)) == (6_000, 8_000)
