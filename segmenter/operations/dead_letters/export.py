"""Exporting dead letters to a file, for people to correct."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from segmenter import topics
from segmenter.errors import UsageError
from segmenter.events import Record
from segmenter.events.dead_letters import DeadLetter
from segmenter.operations.dead_letters.lines import Line, encode, line_of
from segmenter.operations.progress import Progress, silent
from segmenter.settings import Settings


class Exported(NamedTuple):
    """How many dead letters were exported, and how many of these only with the beginning of their value."""

    exported: int
    cut: int


def export(settings: Settings, file: Path, progress: Progress = silent) -> Exported:
    """Write every dead letter to a file, one line per record, the oldest first; see `lines.Line`.

    The file has its name only once it is complete. Raises `UsageError` when it cannot be written.
    """
    with _complete_or_absent(file) as opened:
        return export_to(settings, opened, progress)


def export_to(settings: Settings, opened: BinaryIO, progress: Progress = silent) -> Exported:
    """`export` to an open file."""
    letters = topics.read_dead_letters(settings)
    cut = 0
    with progress("exporting", len(letters)) as advance:
        for line in lines(settings, letters):
            opened.write(encode(line) + b"\n")
            cut += line.cut
            advance(1)
    return Exported(len(letters), cut)


def lines(settings: Settings, letters: list[DeadLetter]) -> Iterator[Line]:
    """The lines of the letters, in their order.

    Where a letter keeps only the beginning of a value, the whole is read from the topic of the invalid record. If the
    log no longer holds it, the line says that it is cut.
    """
    large = [letter for letter in letters if letter.sha256 is not None]
    found = topics.records_at(settings, [(letter.topic, letter.partition, letter.offset) for letter in large])
    for letter in letters:
        yield line_of(letter, None if letter.sha256 is None else _value_of(letter, next(found)))


def _value_of(letter: DeadLetter, record: Record | None) -> bytes | None:
    """The value of the record if it is the letter's; in a topic that was recreated, another has the same offset."""
    value = record.value if record is not None else None
    return value if value is not None and hashlib.sha256(value).hexdigest() == letter.sha256 else None


@contextmanager
def _complete_or_absent(file: Path) -> Iterator[BinaryIO]:
    part = file.with_name(f"{file.name}.part")
    try:
        with part.open("wb") as opened:
            yield opened
        part.rename(file)
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}. Name a file in a folder of yours.") from None
    finally:
        part.unlink(missing_ok=True)
