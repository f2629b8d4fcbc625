"""The lines of an exported file of dead letters: written for people to correct, and read again."""

from __future__ import annotations

import base64
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from segmenter.events.dead_letters import DeadLetter

Counted = Annotated[int, Meta(ge=0)]


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One dead letter of the file. To correct it, change the value and nothing else."""

    topic: str
    """The topic of the invalid record."""
    partition: Counted
    """Its partition."""
    offset: Counted
    """Its offset."""
    reason: str
    """Why it is invalid, in one word."""
    detail: str
    """The same, for people."""
    timestamp_ms: int
    """The timestamp of the invalid record, in milliseconds since 1970-01-01 UTC."""
    key: str | None = None
    """Its key, undecodable bytes escaped. A corrected event is published under its `user_id`, whatever this is."""
    value: msgspec.Raw | UnsetType = UNSET
    """Its value: the text, or null. Instead of a text, a corrected event may be an object here."""
    value_base64: str | None = None
    """Its value in base64, when it is not text."""
    cut: bool = False
    """Only the beginning of the value is here: replace it by the whole value, and remove this field."""


def line_of(letter: DeadLetter, whole: bytes | None) -> Line:
    """The line of a dead letter. ``whole`` is the value of a letter that keeps only its beginning, None if it is gone.

    >>> value_of(line_of(DeadLetter("views", 0, 7, "malformed", "a list", 0, 2, "u42", "[]"), None))
    b'[]'
    """
    text, binary = letter.value, letter.value_base64
    if whole is not None:
        try:
            text, binary = whole.decode(), None
        except UnicodeDecodeError:
            text, binary = None, base64.b64encode(whole).decode()
    return Line(
        letter.topic,
        letter.partition,
        letter.offset,
        letter.reason,
        letter.detail,
        letter.timestamp_ms,
        letter.key,
        UNSET if binary is not None else msgspec.Raw(msgspec.json.encode(text)),
        binary,
        cut=letter.sha256 is not None and whole is None,
    )


def encode(line: Line) -> bytes:
    """A line as JSON, without the newline."""
    return msgspec.json.encode(line)


def decode(text: bytes) -> Line:
    """The line of a JSON object. Raises ValueError that says what is wrong with it."""
    try:
        line = msgspec.json.decode(text, type=Line)
        value_of(line)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from None
    return line


def value_of(line: Line) -> bytes | None:
    """The bytes of the value. Raises ValueError when there is none, or one of a wrong type."""
    if isinstance(line.value, UnsetType):
        if line.value_base64 is None:
            raise ValueError("there is neither value nor value_base64; one is needed")
        try:
            return base64.b64decode(line.value_base64, validate=True)
        except ValueError as error:
            raise ValueError(f"value_base64 is not base64: {error}") from None
    if line.value_base64 is not None:
        raise ValueError("there are both value and value_base64; one is allowed")
    written = bytes(line.value)
    if written == b"null":
        return None
    if written[:1] == b"{":
        return written
    return msgspec.json.decode(written, type=str).encode()


def key_of(line: Line) -> bytes:
    """The position of the invalid record, as `segmenter.events.dead_letters.letter_key` gives it."""
    return f"{line.topic}:{line.partition}:{line.offset}".encode()
