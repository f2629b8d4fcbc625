"""The log: Kafka topics, and the only place that imports a Kafka client."""

from __future__ import annotations

from segmenter.events import Record
from segmenter.topics.admin import TopicGuard, dead_letter_topic, ensure_topics, event_topics, has_topic, topic_ids
from segmenter.topics.client import Position
from segmenter.topics.dead_letters import read_dead_letters, records_at
from segmenter.topics.duplicate_window import window_starts_ms
from segmenter.topics.group import ShardConsumer
from segmenter.topics.lag_offsets import sink_group, store_reached_ms, warehouse_reached_ms
from segmenter.topics.producer import drop_producer, open_producer, produce_all
from segmenter.topics.reader import RESTORE, Reader, beginnings, check_beginnings, check_ends, ends, read_to

__all__ = [
    "RESTORE",
    "Position",
    "Reader",
    "Record",
    "ShardConsumer",
    "TopicGuard",
    "beginnings",
    "check_beginnings",
    "check_ends",
    "dead_letter_topic",
    "drop_producer",
    "ends",
    "ensure_topics",
    "event_topics",
    "has_topic",
    "open_producer",
    "produce_all",
    "read_dead_letters",
    "read_to",
    "records_at",
    "sink_group",
    "store_reached_ms",
    "topic_ids",
    "warehouse_reached_ms",
    "window_starts_ms",
]
