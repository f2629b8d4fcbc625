"""Offsets committed to Kafka: for tools that show lag, and for who asks when a reader was last well.

Nothing reads on from them. Each carries a note: when its reader had just reached the place that it writes to, so that
a Redis or a warehouse that is away has left word of when it was last there. Not every broker keeps notes (Tansu 0.6
drops them).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.structs import OffsetAndMetadata

from segmenter.settings import Settings
from segmenter.topics.client import Position, client_options, reaching

_NOTE = re.compile(r"reached_ms=(\d+)")


def sink_group(settings: Settings) -> str:
    """The group under which the sink commits its offsets; it has no members."""
    return f"{settings.group}-sink"


def noted(offsets: Mapping[Position, int], now_ms: int) -> dict[TopicPartition, OffsetAndMetadata]:
    """What a consumer commits, with the note that all was well at ``now_ms`` (ms since 1970)."""
    note = f"reached_ms={now_ms}"
    return {TopicPartition(*position): OffsetAndMetadata(offset, note, -1) for position, offset in offsets.items()}


def last_noted(settings: Settings, group: str) -> int | None:
    """The newest note (ms since 1970) in a group or in those that workers met in after it; None if there is none."""
    wanted = re.compile(re.escape(group) + r"(\.\d+)?")
    with reaching(settings), KafkaAdminClient(**client_options(settings)) as admin:
        groups = [found["group_id"] for found in admin.list_groups() if wanted.fullmatch(found["group_id"])]
        committed = [offset for one in groups for offset in admin.list_group_offsets(one)[one].values()]
    notes = [_NOTE.fullmatch(offset.metadata or "") for offset in committed]
    return max((int(note[1]) for note in notes if note), default=None)
