"""Small steps of which the tests of the loop are made."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import closing

import pytest

from segmenter.events import Event, encode, key_of
from segmenter.operations.integrity.verify import find_differences
from segmenter.settings import Settings
from segmenter.shards.row import Row
from segmenter.store.connection import Store, connect
from segmenter.store.keys import Keys
from segmenter.store.rows import scan_rows
from segmenter.store.shards import read_shards
from segmenter.topics import ensure_topics, open_producer, produce_all

START_MS = 1_700_000_000_000


def publish(settings: Settings, topic: str, events: Iterable[Event]) -> None:
    """Put events on a topic, in their order."""
    publish_raw(settings, topic, [(key_of(event.user_id), encode(event)) for event in events])


def publish_raw(settings: Settings, topic: str, records: Iterable[tuple[bytes | None, bytes | None]]) -> None:
    """Put records on a topic as they are."""
    ensure_topics(settings)
    producer = open_producer(settings)
    produce_all(producer, settings, settings.topic_prefix + topic, records)
    producer.close()


def rows(settings: Settings) -> dict[bytes, Row]:
    """Every user's row."""
    client = connect(settings)
    found = {row.user: row for batch in scan_rows(client, settings) for row in batch}
    client.close()
    return found


def profiles(settings: Settings) -> dict[bytes, tuple[int, ...]]:
    """Every user's profile."""
    return {user: row.profile for user, row in rows(settings).items()}


def folded(settings: Settings) -> int:
    """How many events count, as the shards say."""
    with closing(connect(settings)) as client:
        return sum(state.counts.folded for state in read_shards(client, settings).values())


def counts(settings: Settings) -> dict[int, tuple[int, int]]:
    """How many events of each shard count, and how many are duplicates, as the shards say."""
    with closing(connect(settings)) as client:
        states = read_shards(client, settings)
        return {number: (state.counts.folded, state.counts.duplicates) for number, state in states.items()}


def differences(settings: Settings) -> list[str]:
    """What `segmenter verify` finds."""
    with closing(connect(settings)) as client:
        found = find_differences(Store(client, settings))
    return [str(difference) for each in found.values() for difference in each.differences]


def age_heartbeats(settings: Settings) -> None:
    """As if the last worker had ended long ago."""
    with closing(connect(settings)) as client:
        for number in read_shards(client, settings):
            client.hset(Keys(settings.key_prefix).shard(number), "beat_ms", 0)


def set_clock_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this process believe that it is an hour later; the parts, and their clocks, are not concerned."""
    seconds, nanoseconds = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: seconds() + 3_600)
    monkeypatch.setattr(time, "time_ns", lambda: nanoseconds() + 3_600 * 10**9)


def remove_keys(settings: Settings) -> None:
    """Leave of this environment what an emptied Redis holds: nothing."""
    with closing(connect(settings)) as client:
        client.delete(*client.keys(f"{settings.key_prefix}:*"))
