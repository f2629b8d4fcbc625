"""Dead letters that come back: mended ones become new records of their topics, each once.

Each record carries the header ``dead-letter``: the position of the record that was refused. What the log holds under
that header is not published again, so a second run, or one after a crash at any point, adds only what is missing.
Two runs at the same time see nothing of each other, and what the log has dropped since is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from producers.messages import Message
from segmenter.errors import UsageError
from segmenter.events import Refusal, Rules, decode, key_of
from segmenter.events.sharding import shard_of
from segmenter.operations.dead_letters import lines
from segmenter.settings import Settings
from segmenter.topics import beginnings, ends, ensure_topics, event_topics, read_to

HEADER = "dead-letter"


class Unmended(NamedTuple):
    """A line that is still no event, and why. Line 1 is the first of the file."""

    line: int
    position: str
    reason: str
    detail: str


class Found(NamedTuple):
    """What a file holds: messages to be published, how many were before, and what is still no event."""

    missing: list[Message]
    before: int
    unmended: list[Unmended]


def find(
    settings: Settings, file: Path, now_ms: int, looked_at: Callable[[int], object] = lambda records: None
) -> Found:
    """What is to be published of an export's lines; ``now_ms`` is when that will be. Missing topics are created.

    To find what was published before, every record that the log holds of the topics of mended lines is read:
    ``looked_at`` is told of their number batch by batch. The mended lines are held in memory. Raises `UsageError`
    for a line that is none.
    """
    mended, unmended = sort(file, settings, now_ms)
    ensure_topics(settings)
    before = published_before(settings, mended, looked_at)
    return Found([message for position, message in mended.items() if position not in before], len(before), unmended)


def sort(file: Path, settings: Settings, now_ms: int) -> tuple[dict[bytes, Message], list[Unmended]]:
    """The messages of the mended lines by position, in their order, and the lines that are still no events."""
    mended: dict[bytes, Message] = {}
    unmended: list[Unmended] = []
    numbers: dict[bytes, int] = {}
    for number, line in _lines(file, settings):
        position = lines.key_of(line)
        if position in numbers:
            raise _no_line(file, number, f"it is of the same record as line {numbers[position]}; one line is allowed")
        numbers[position] = number
        verdict = judge(line, settings.topic_prefix, Rules.of(settings), now_ms)
        if isinstance(verdict, Refusal):
            unmended.append(Unmended(number, position.decode(), *verdict))
        else:
            mended[position] = verdict
    return mended, unmended


def judge(line: lines.Line, topic_prefix: str, rules: Rules, now_ms: int) -> Message | Refusal:
    """The message of a line whose value is an event, by the verdict of `segmenter.events.decode`, else why it is none.

    >>> line = lines.Line("views", 0, 7, "invalid", "", 0, value=msgspec.Raw(b'{"user_id":"u42","time_ms":1}'))
    >>> judge(line, "", Rules(partitions=4), 0)
    Message(topic='views', key=b'u42', value=b'{"user_id":"u42","time_ms":1}', headers=(('dead-letter', b'views:0:7'),))
    """
    if line.cut:
        return Refusal("cut", "only the beginning of the value is here: put in the whole one and take out cut")
    value = lines.value_of(line)
    key = _key(value)
    verdict = decode(value, key, shard_of(key, rules.partitions), now_ms, rules)
    if isinstance(verdict, Refusal):
        return verdict
    return Message(line.topic.removeprefix(topic_prefix), key, value, ((HEADER, lines.key_of(line)),))


def published_before(
    settings: Settings, mended: dict[bytes, Message], looked_at: Callable[[int], object]
) -> set[bytes]:
    """Which of the positions stand in headers on the log; reads all that it holds of the messages' topics."""
    names = {settings.topic_prefix + message.topic for message in mended.values()}
    found: set[bytes] = set()
    for records in read_to(settings, beginnings(settings, names), ends(settings, names)):
        found |= {value for record in records for name, value in record.headers if name == HEADER}
        looked_at(len(records))
    return found & mended.keys()


def _lines(file: Path, settings: Settings) -> Iterator[tuple[int, lines.Line]]:
    """Each line by its number; blank ones are passed over."""
    known = event_topics(settings)
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
        f"line {number} of {file} is not as `dead-letters export` writes them: {problem}. Mend the line or take it "
        "out; nothing was published."
    )


def _key(value: bytes | None) -> bytes:
    """The key under which an event is published; empty for what is none."""
    try:
        return key_of(msgspec.json.decode(value or b"", type=_Owned).user_id)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return b""


class _Owned(msgspec.Struct):
    user_id: str
