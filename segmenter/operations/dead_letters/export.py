"""Reading dead letters back from the log, each one once, and the whole values of those that keep only a beginning."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import structlog

from segmenter import topics
from segmenter.events.dead_letters import DeadLetter
from segmenter.operations.dead_letters.lines import Line, line_of
from segmenter.settings import Settings

log = structlog.get_logger()


def lines(settings: Settings, letters: Iterable[DeadLetter]) -> Iterator[Line]:
    """The lines of an export, in the order of the letters.

    The value of a letter that keeps only its beginning is taken from where the record was, one at a time. Where the
    log no longer holds that very value, the line says that it is cut.
    """
    letters = list(letters)
    large = [letter for letter in letters if letter.sha256 is not None]
    found = topics.records_at(settings, [_place(letter) for letter in large])
    for letter in letters:
        yield line_of(letter, None if letter.sha256 is None else _same(letter, next(found)))


def _same(letter: DeadLetter, record: topics.Record | None) -> bytes | None:
    """The record's value if it is the letter's: a topic that was made anew holds another at the same offset."""
    value = record.value if record is not None else None
    return value if value is not None and hashlib.sha256(value).hexdigest() == letter.sha256 else None


def _place(letter: DeadLetter) -> tuple[str, int, int]:
    return letter.topic, letter.partition, letter.offset
