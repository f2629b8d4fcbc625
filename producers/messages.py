"""Plain data between a source of events and the log: messages to publish, and refused rows."""

from __future__ import annotations

from typing import NamedTuple

FIRST_ROWS = 5


class Message(NamedTuple):
    """A record to publish; ``topic`` is without prefix."""

    topic: str
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class Refused(NamedTuple):
    """A row of a file that is not published, and why: a stable ``reason``, and a ``detail`` for people.

    Row 1 is the first row of data.
    """

    row: int
    reason: str
    detail: str


class RefusedRows(NamedTuple):
    """The rows refused for one reason: how many, the numbers of the first few, and the detail of the first."""

    rows: int
    first: tuple[int, ...]
    detail: str


def count_refused(refused: dict[str, RefusedRows], row: Refused) -> None:
    """Count one more refused row under its reason.

    >>> refused = {}
    >>> for number in (3, 8):
    ...     count_refused(refused, Refused(number, "no time", f"{number} o'clock"))
    >>> refused
    {'no time': RefusedRows(rows=2, first=(3, 8), detail="3 o'clock")}
    """
    before = refused.get(row.reason, RefusedRows(0, (), row.detail))
    first = before.first if len(before.first) == FIRST_ROWS else (*before.first, row.row)
    refused[row.reason] = RefusedRows(before.rows + 1, first, before.detail)
