"""Replaying dead letters: corrected ones become new records of their topics, each once.

Each new record carries the header ``dead-letter``: the position of the invalid record. What the log already holds under
that header is not published again, so a second replay, or one after a crash at any point, adds only what is missing.
Two replays at the same time do not see each other, and what the log has dropped since is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from producers.messages import Message
from producers.publish import publish
from segmenter.errors import UsageError
from segmenter.events import InvalidRecord, Rules, decode, key_of
from segmenter.events.sharding import shard_of
from segmenter.kinds import Kind
from segmenter.operations.dead_letters import lines
from segmenter.operations.progress import Progress, silent
from segmenter.settings import Settings
from segmenter.topics import beginnings, ends, ensure_topics, event_topics, read_to

HEADER = "dead-letter"


class StillInvalid(NamedTuple):
    """A line whose value is still invalid, and why. Line 1 is the first of the file."""

    line: int
    position: str
    reason: str
    detail: str


class Replayed(NamedTuple):
    """How many events were published now and by earlier replays, and the lines that are still invalid."""

    published: int
    published_before: int
    still_invalid: list[StillInvalid]


def replay(settings: Settings, file: Path, now_ms: int, progress: Progress = silent) -> Replayed:
    """Publish the corrected lines of an exported file, each once, at ``now_ms``. Missing topics are created.

    To find out what was published before, this reads all that the log holds of the topics of the corrected lines. The
    corrected lines are held in memory. Raises `UsageError`, with nothing published, for a line that is not as
    `segmenter.operations.dead_letters.export` writes them.
    """
    corrected, still_invalid = read_corrected(file, settings, now_ms)
    ensure_topics(settings)
    with progress("looking for what was published before", None) as advance:
        before = published_before(settings, corrected, advance)
    missing = [message for position, message in corrected.items() if position not in before]
    with progress("publishing", len(missing)) as advance:
        published = publish(settings, missing, advance).published
    return Replayed(published, len(before), still_invalid)


def read_corrected(file: Path, settings: Settings, now_ms: int) -> tuple[dict[bytes, Message], list[StillInvalid]]:
    """The messages of the corrected lines by position, in their order, and the lines that are still invalid."""
    corrected: dict[bytes, Message] = {}
    still_invalid: list[StillInvalid] = []
    numbers: dict[bytes, int] = {}
    known = event_topics(settings)
    for number, line in _lines(file, known):
        position = lines.key_of(line)
        if position in numbers:
            raise _no_line(file, number, f"it has the same position as line {numbers[position]}; one line is allowed")
        numbers[position] = number
        verdict = judge(line, known[line.topic], Rules.of(settings), now_ms)
        if isinstance(verdict, InvalidRecord):
            still_invalid.append(StillInvalid(number, position.decode(), *verdict))
        else:
            corrected[position] = verdict
    return corrected, still_invalid


def judge(line: lines.Line, kind: Kind, rules: Rules, now_ms: int) -> Message | InvalidRecord:
    """The message of a line whose value is an event of this kind; else why it is invalid.

    >>> line = lines.Line("carts", 0, 7, "invalid", "", 0, value=msgspec.Raw(b'{"user_id":"u42","time_ms":1}'))
    >>> judge(line, Kind("add_to_cart", "carts", "carts"), Rules(partitions=4), 0)
    Message(topic='carts', key=b'u42', value=b'{"user_id":"u42","time_ms":1}', headers=(('dead-letter', b'carts:0:7'),))
    """
    if line.cut:
        return InvalidRecord("cut", "only the beginning of the value is here: put in the whole value and remove cut")
    value = lines.value_of(line)
    key = _key(value)
    verdict = decode(value, key, kind, shard_of(key, rules.partitions), now_ms, rules)
    if isinstance(verdict, InvalidRecord):
        return verdict
    return Message(kind.topic, key, value, ((HEADER, lines.key_of(line)),))


def published_before(
    settings: Settings, corrected: dict[bytes, Message], on_progress: Callable[[int], object]
) -> set[bytes]:
    """The positions that are in headers of the log already; reads all that it holds of the topics of the messages."""
    names = {settings.topic_prefix + message.topic for message in corrected.values()}
    found: set[bytes] = set()
    for records in read_to(settings, beginnings(settings, names), ends(settings, names)):
        found |= {value for record in records for name, value in record.headers if name == HEADER}
        on_progress(len(records))
    return found & corrected.keys()


def _lines(file: Path, known: Iterable[str]) -> Iterator[tuple[int, lines.Line]]:
    """Each line by its number; blank ones are skipped."""
    try:
        with file.open("rb") as opened:
            for number, text in enumerate(opened, 1):
                if text.strip():
                    yield number, _line(file, number, text, known)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}. Name a file of `dead-letters export`.") from None


def _line(file: Path, number: int, text: bytes, known: Iterable[str]) -> lines.Line:
    try:
        line = lines.decode(text)
    except ValueError as error:
        raise _no_line(file, number, str(error)) from None
    if line.topic not in known:
        raise _no_line(file, number, f"there is no topic {line.topic!r}; allowed: {', '.join(known)}")
    return line


def _no_line(file: Path, number: int, problem: str) -> UsageError:
    return UsageError(
        f"line {number} of {file} is not as `dead-letters export` writes them: {problem}. Correct the line or "
        "remove it; nothing was published."
    )


def _key(value: bytes | None) -> bytes:
    """The key of the event in a value; empty if there is none."""
    try:
        return key_of(msgspec.json.decode(value or b"", type=_Owned).user_id)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return b""


class _Owned(msgspec.Struct):
    user_id: str
