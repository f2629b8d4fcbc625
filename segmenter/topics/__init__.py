"""The log: Kafka topics, and the only place that imports a Kafka client."""

from __future__ import annotations

from segmenter.topics.admin import TopicGuard, dead_letter_topic, ensure_topics, event_topics, has_topic, topic_ids
from segmenter.topics.group import ShardConsumer
from segmenter.topics.producer import open_producer, produce_all
from segmenter.topics.reader import Reader, beginnings, check_ends, ends, read_to
from segmenter.topics.records import Position, Record

__all__ = [
    "Position",
    "Reader",
    "Record",
    "ShardConsumer",
    "TopicGuard",
    "beginnings",
    "check_ends",
    "dead_letter_topic",
    "ends",
    "ensure_topics",
    "event_topics",
    "has_topic",
    "open_producer",
    "produce_all",
    "read_to",
    "topic_ids",
]
