"""The plain data that goes from a source of events to the log."""

from __future__ import annotations

from typing import NamedTuple


class Message(NamedTuple):
    """One record to be published; ``topic`` is without prefix."""

    topic: str
    key: bytes | None
    value: bytes | None


class Refused(NamedTuple):
    """A row of a file that is not published, and why: a stable ``reason``, and a ``detail`` for people.

    Row 1 is the first row of data.
    """

    row: int
    reason: str
    detail: str
