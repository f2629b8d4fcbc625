"""Offsets committed to Kafka: for tools that show lag, and to find out when a reader was last well.

Nothing reads on from them. Each carries a note of when its reader last reached the Redis or the warehouse that it
writes to, so that this is known while that part is away. Not every broker keeps notes (Tansu 0.6 drops them).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.structs import OffsetAndMetadata

from segmenter.settings import Settings
from segmenter.settings.urls import location
from segmenter.topics.client import Position, client_options, reaching

_NOTE = re.compile(r"reached_ms=(\d+)(?: store=(.+))?")


def sink_group(settings: Settings) -> str:
    """The group under which the sink commits its offsets; it has no members."""
    return f"{settings.group}-sink"


def store_name(settings: Settings) -> str:
    """The store as the note of a worker names it: another process may not know the id that is in the group's name."""
    return f"{location(settings.redis_url)}:{settings.key_prefix}"


def noted(offsets: Mapping[Position, int], now_ms: int, store: str = "") -> dict[TopicPartition, OffsetAndMetadata]:
    """What a consumer commits, with the note that all was well at ``now_ms`` (ms since 1970), with this store."""
    note = f"reached_ms={now_ms}" + (f" store={store}" if store else "")
    return {TopicPartition(*position): OffsetAndMetadata(offset, note, -1) for position, offset in offsets.items()}


def store_reached_ms(settings: Settings) -> int | None:
    """When a worker last noted that it had reached the store (ms since 1970); None if there is no such note."""
    return _newest(settings, re.compile(re.escape(settings.group) + r"\.[0-9a-f]+(\.\d+)?"), store_name(settings))


def warehouse_reached_ms(settings: Settings) -> int | None:
    """When a sink last noted that it had reached the warehouse (ms since 1970); None if there is no such note."""
    return _newest(settings, re.compile(re.escape(sink_group(settings))), None)


def _newest(settings: Settings, wanted: re.Pattern[str], store: str | None) -> int | None:
    with reaching(settings), KafkaAdminClient(**client_options(settings)) as admin:
        groups = [found["group_id"] for found in admin.list_groups() if wanted.fullmatch(found["group_id"])]
        committed = [offset for one in groups for offset in admin.list_group_offsets(one)[one].values()]
    notes = [_NOTE.fullmatch(offset.metadata or "") for offset in committed]
    return max((int(note[1]) for note in notes if note and note[2] == store), default=None)
