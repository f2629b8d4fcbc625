"""Dead letters: what becomes of a record that is no event."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from segmenter import dead_letters
from segmenter.events import Refusal
from segmenter.settings import Settings
from segmenter.topics import Record, dead_letter_topic, produce_all

TELL_SECONDS = 2.5
"""How long the brokers may take to acknowledge; a worker can do nothing else meanwhile, and may take 5 s to end."""


def tell(producer: Any, settings: Settings, refused: Iterable[tuple[Record, Refusal]]) -> None:
    """Publish a dead letter for each refused record, and return when all are acknowledged."""
    letters = [
        dead_letters.describe(
            record.topic, record.partition, record.offset, record.timestamp, record.key, record.value, refusal
        )
        for record, refusal in refused
    ]
    told = [(dead_letters.key_of(letter), dead_letters.encode(letter)) for letter in letters]
    produce_all(producer, settings, dead_letter_topic(settings), told, TELL_SECONDS)
