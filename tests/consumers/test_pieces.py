"""Cutting records into pieces: duplicates by position, whatever is read again and however polls fall."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.patience import LONGEST_SECONDS, pause_seconds
from consumers.pieces import Seen, cut
from segmenter.events import Event, Rules, encode

RULES = Rules(partitions=1)


class FakeRecord(NamedTuple):
    """A record as the client gives it."""

    topic: str
    offset: int
    key: bytes
    value: bytes
    partition: int = 0
    timestamp: int = 0


def log_of(ids: list[int]) -> list[FakeRecord]:
    """One topic of events by their id; 0 is an event without one."""
    events = [Event(f"u{number % 3}", 1, event_id=f"e{number}" if number else None) for number in ids]
    return [FakeRecord("views", n, event.user_id.encode(), encode(event)) for n, event in enumerate(events)]


def counted(ids: list[int], window: int, start: int = 0) -> list[int]:
    """The offsets from ``start`` on that count: the slow way, straight from the rule."""
    found = []
    for offset in range(start, len(ids)):
        earlier = [other for other in range(offset) if ids[other] == ids[offset] != 0]
        if not earlier or offset - earlier[-1] > window:
            found.append(offset)
    return found


numbers = st.lists(st.integers(0, 5), min_size=15, max_size=60)


@settings(max_examples=300)
@given(numbers, st.integers(0, 12), st.integers(0, 14), st.data())
def test_any_polls_count_the_same(ids: list[int], window: int, start: int, data: st.DataObject) -> None:
    """Opened at any offset, read from a window before it, in polls of any size, some of it again and again."""
    records = log_of(ids)
    seen = Seen(window, {"views": start})
    offsets = {"views": start}
    at, found = max(0, start - window), []
    while at < len(records):
        size = data.draw(st.integers(1, 9))
        for piece in cut(records[at : at + size], offsets, "", seen, RULES, most_users=2):
            assert len(piece.users) <= 2
            found += [event.offset for event in piece.events]
            offsets = piece.offsets
        at = max(0, at + size - data.draw(st.sampled_from([0, 0, 3])))
        if size <= 3:
            at = max(at, seen.next["views"])
    assert found == counted(ids, window, start)
    assert offsets == {"views": len(ids)}


@given(numbers, st.integers(0, 12))
def test_memory_holds_no_more_than_the_window(ids: list[int], window: int) -> None:
    seen = Seen(window, {"views": 0})
    for piece in cut(log_of(ids), {"views": 0}, "", seen, RULES, most_users=100):
        seen.forget(piece.offsets)
    assert sum(len(last) for last in seen._last.values()) <= window + 1


def test_a_pause_stays_bounded() -> None:
    """However often something failed."""
    assert all(0 <= pause_seconds(failures) <= LONGEST_SECONDS for failures in (1, 10, 100_000))
