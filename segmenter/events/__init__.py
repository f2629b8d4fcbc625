"""Events: what one is, whether a record is one, which shard it belongs to, and dead letters. Pure."""

from __future__ import annotations

from segmenter.events.dead_letters import DEAD_LETTERS
from segmenter.events.event import MAX_DURATION_MS, MAX_TIME_MS, TOPICS, Event, encode
from segmenter.events.rules import REASONS, InvalidRecord, Record, Rules, completed, decode
from segmenter.events.sharding import shard_of
from segmenter.events.user_ids import key_of, shown, text_of

__all__ = [
    "DEAD_LETTERS",
    "MAX_DURATION_MS",
    "MAX_TIME_MS",
    "REASONS",
    "TOPICS",
    "Event",
    "InvalidRecord",
    "Record",
    "Rules",
    "completed",
    "decode",
    "encode",
    "key_of",
    "shard_of",
    "shown",
    "text_of",
]
