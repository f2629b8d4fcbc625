"""Reading times and durations from text, exactly: no float is ever involved."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_NUMBER = re.compile(r"(\d{1,15})(?:\.(\d*))?", re.ASCII)

Reader = Callable[[str], int]
"""From text to milliseconds. Raises `ValueError` that says what was expected."""


def seconds(text: str) -> int:
    """Milliseconds of a number of seconds; finer fractions are cut off.

    >>> seconds("1541595108.1239")
    1541595108123
    """
    whole, fraction = _number(text)
    return int(whole) * 1_000 + int(f"{fraction}000"[:3])


def milliseconds(text: str) -> int:
    """Milliseconds of a number of milliseconds; finer fractions are cut off.

    >>> milliseconds("250.0")
    250
    """
    return int(_number(text)[0])


def iso(text: str) -> int:
    """Milliseconds since 1970 of an ISO 8601 time, UTC unless it says otherwise.

    >>> iso("2026-01-05T01:00:00+01:00") == iso("2026-01-05")
    True
    """
    return _since_epoch(datetime.fromisoformat(text))


def reader(format: str) -> Reader:
    """The reader of a mapping's time ``format``: unix_s, unix_ms, iso or a strptime pattern."""
    known: dict[str, Reader] = {"unix_s": seconds, "unix_ms": milliseconds, "iso": iso}
    return lru_cache(1 << 16)(known.get(format) or _patterned(format))


def _patterned(pattern: str) -> Reader:
    return lambda text: _since_epoch(datetime.strptime(text, pattern))


def _since_epoch(moment: datetime) -> int:
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND


def _number(text: str) -> tuple[str, str]:
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:80]!r} is not a number of 0 or more")
    return found[1], found[2] or ""
