"""The lines of an export of dead letters: written for people to mend, and read again."""

from __future__ import annotations

import base64
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from segmenter.events.dead_letters import DeadLetter

Counted = Annotated[int, Meta(ge=0)]


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One dead letter of an export; who mends it changes the value, and nothing else."""

    topic: str
    """The refused record's topic."""
    partition: Counted
    """Its partition."""
    offset: Counted
    """Its offset."""
    reason: str
    """Why it was refused, in one word."""
    detail: str
    """The same, for people."""
    timestamp_ms: int
    """The refused record's timestamp, in milliseconds since 1970-01-01 UTC."""
    key: str | None = None
    """The record's key, undecodable bytes escaped. A mended one is published under its `user_id`, whatever this is."""
    value: msgspec.Raw | UnsetType = UNSET
    """The value: its text, or null. When mended, the event itself may stand here instead, as an object."""
    value_base64: str | None = None
    """The value in base64, when it is not text."""
    cut: bool = False
    """Only the beginning of the value is here: put the whole one in its place, and take this out."""


def line_of(letter: DeadLetter, whole: bytes | None) -> Line:
    """The line of a dead letter; ``whole`` is the value of a letter that keeps only its beginning, if it was found.

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
    """A line as JSON, without the line's end."""
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
    """The bytes of the value. Raises ValueError when there is none, or one of another kind."""
    if isinstance(line.value, UnsetType):
        if line.value_base64 is None:
            raise ValueError("neither value nor value_base64 is there; one is needed")
        try:
            return base64.b64decode(line.value_base64, validate=True)
        except ValueError as error:
            raise ValueError(f"value_base64 is not base64: {error}") from None
    if line.value_base64 is not None:
        raise ValueError("both value and value_base64 are there; one is allowed")
    written = bytes(line.value)
    if written == b"null":
        return None
    if written[:1] == b"{":
        return written
    return msgspec.json.decode(written, type=str).encode()


def key_of(line: Line) -> bytes:
    """The refused record's position, as `segmenter.events.dead_letters.letter_key` gives it."""
    return f"{line.topic}:{line.partition}:{line.offset}".encode()
