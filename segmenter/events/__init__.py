"""Events: what one is, whether a record is one, which shard it belongs to, and dead letters. Pure."""

from __future__ import annotations

from segmenter.events.dead_letters import DEAD_LETTERS
from segmenter.events.event import (
    MAX_AMOUNT,
    MAX_DURATION_MS,
    MAX_TIME_MS,
    Event,
    PricedEvent,
    encode,
    measure_of,
    type_of,
)
from segmenter.events.rules import REASONS, InvalidRecord, Record, Rules, agreeing, decode
from segmenter.events.sharding import shard_of
from segmenter.events.user_ids import key_of, shown, text_of

__all__ = [
    "DEAD_LETTERS",
    "MAX_AMOUNT",
    "MAX_DURATION_MS",
    "MAX_TIME_MS",
    "REASONS",
    "Event",
    "InvalidRecord",
    "PricedEvent",
    "Record",
    "Rules",
    "agreeing",
    "decode",
    "encode",
    "key_of",
    "measure_of",
    "shard_of",
    "shown",
    "text_of",
    "type_of",
]
