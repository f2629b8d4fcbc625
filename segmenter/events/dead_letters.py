"""Dead letters: what is kept of an invalid record, and how it is encoded."""

from __future__ import annotations

import base64
import hashlib

import msgspec

from segmenter.events.rules import InvalidRecord

DEAD_LETTERS = "dead-letters"
"""The topic, without prefix, of the dead letters."""

KEPT_BYTES = 4_096
"""How much of a larger value a dead letter keeps."""


class DeadLetter(msgspec.Struct, frozen=True, omit_defaults=True):
    """An invalid record: where it was, why it is invalid, and what it held."""

    topic: str
    partition: int
    offset: int
    reason: str
    detail: str
    timestamp_ms: int
    length: int
    """Bytes of the whole value; 0 for none."""
    key: str | None = None
    """The record's key, undecodable bytes escaped."""
    value: str | None = None
    """The value, or its first 4 kB, as text."""
    value_base64: str | None = None
    """The same, when it is not text."""
    sha256: str | None = None
    """Of the whole value, when only its beginning is kept."""


def describe(
    topic: str,
    partition: int,
    offset: int,
    timestamp_ms: int,
    key: bytes | None,
    value: bytes | None,
    invalid: InvalidRecord,
) -> DeadLetter:
    """The dead letter of a record.

    >>> describe("views", 0, 7, 0, b"u42", b"[]", InvalidRecord("malformed", "not an object")).value
    '[]'
    """
    whole = value or b""
    kept = whole[:KEPT_BYTES]
    try:
        whole.decode()
        text, binary = kept.decode(errors="ignore"), None
    except UnicodeDecodeError:
        text, binary = None, base64.b64encode(kept).decode()
    return DeadLetter(
        topic,
        partition,
        offset,
        invalid.reason,
        invalid.detail,
        timestamp_ms,
        len(whole),
        key=None if key is None else key[:KEPT_BYTES].decode(errors="backslashreplace"),
        value=None if value is None else text,
        value_base64=binary,
        sha256=hashlib.sha256(whole).hexdigest() if len(whole) > KEPT_BYTES else None,
    )


def letter_key(letter: DeadLetter) -> bytes:
    """The position of the invalid record. Readers drop repeats of a key, so each record counts once."""
    return f"{letter.topic}:{letter.partition}:{letter.offset}".encode()


def encode(letter: DeadLetter) -> bytes:
    """A dead letter as it is published: JSON."""
    return msgspec.json.encode(letter)


def decode(value: bytes) -> DeadLetter:
    """The dead letter of `encode`'s bytes."""
    return msgspec.json.decode(value, type=DeadLetter)
