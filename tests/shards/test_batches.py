"""Dividing records into batches: duplicates by position, whatever is read again and however polls are divided."""

from __future__ import annotations

import gc
import sys
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from segmenter.events import Event, Rules, encode
from segmenter.model.folding import NO_MEASURE
from segmenter.shards.batches import batches_of
from segmenter.shards.duplicates import ENTRY_BYTES, DuplicateWindow

RULES = Rules(partitions=1)
KEY = bytes(16)


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
    seen = DuplicateWindow(window, {"views": start}, KEY)
    offsets = {"views": start}
    at, found = max(0, start - window), []
    while at < len(records):
        size = data.draw(st.integers(1, 9))
        for batch in batches_of(records[at : at + size], offsets, "", seen, RULES, commit_rows=2):
            assert len(batch.users) <= 2
            found += [event.offset for event in batch.events]
            offsets = batch.offsets
        at = max(0, at + size - data.draw(st.sampled_from([0, 0, 3])))
        if size <= 3:
            at = max(at, seen.next["views"])
    assert found == counted(ids, window, start)
    assert offsets == {"views": len(ids)}


record = st.tuples(st.sampled_from(["views", "searches"]), st.integers(0, 3), st.sampled_from(["", "e1", "e2"]))


@settings(max_examples=200)
@given(st.lists(record, max_size=30), st.integers(1, 3), st.integers(0, 5), st.integers(0, 5))
def test_a_batch_ends_only_where_it_would_change_too_many_users(
    drawn: list[tuple[str, int, str]], commit_rows: int, views: int, searches: int
) -> None:
    """Not for an invalid record, a repeat of a user's event, or a record that is applied already; nor is one empty.

    User 0 sends what is no event. Each record is in one batch, under a topic without the prefix.
    """
    start, ends = {"views": views, "searches": searches}, {"views": 0, "searches": 0}
    records, expected, users, seen = [], [dict(start)], set[str](), set[tuple[str, int, str]]()
    duplicates = invalid = 0
    for topic, number, event_id in drawn:
        user, offset = f"u{number}", ends[topic]
        value = encode(Event(user, offset, event_id=event_id or None, duration_ms=7)) if number else b"[]"
        records.append(FakeRecord(f"prefix.{topic}", offset, user.encode(), value))
        ends[topic] = offset + 1
        repeated = bool(number and event_id) and (topic, number, event_id) in seen
        seen.add((topic, number, event_id))
        if offset < start[topic]:
            continue
        if number and user not in users and len(users) == commit_rows:
            users = set()
            expected.append(dict(expected[-1]))
        if number and not repeated:
            users.add(user)
        duplicates, invalid = duplicates + repeated, invalid + (not number)
        expected[-1][topic] = offset + 1

    window = DuplicateWindow(100, start, KEY)
    batches = list(batches_of(records, start, "prefix.", window, RULES, commit_rows))

    assert [batch.offsets for batch in batches] == (expected if expected[-1] != start else [])
    assert sum(batch.duplicates for batch in batches) == duplicates
    refused = [each for batch in batches for each in batch.invalid]
    assert len(refused) == invalid and all(reason.reason == "malformed" for _, reason in refused)
    assert all(each in records for each, _ in refused)
    for batch in batches:
        users_of = {index: user for user, index in batch.users.items()}
        for event in batch.events:
            (one,) = [each for each in records if (each.topic, each.offset) == (f"prefix.{event.topic}", event.offset)]
            measure = {"views": 7, "searches": NO_MEASURE}[event.topic]
            assert (users_of[event.user], event.time_ms, event.measure) == (one.key, event.offset, measure)


class Interrupted(Exception):
    """The commit of a batch was not confirmed."""


@settings(max_examples=300)
@given(numbers, st.integers(0, 12), st.data())
def test_what_is_remembered_is_of_use_after_an_interruption(ids: list[int], window: int, data: st.DataObject) -> None:
    """A commit was made or not, or others went on meanwhile: what counts is the same."""
    records, expected = log_of(ids), counted(ids, window)
    seen = DuplicateWindow(window, {"views": 0}, KEY)
    offsets, found, at = {"views": 0}, [], 0
    while at < len(records):
        size = data.draw(st.integers(1, 20))
        try:
            for batch in batches_of(records[at : at + size], offsets, "", seen, RULES, commit_rows=2):
                fate = data.draw(st.sampled_from(["confirmed", "confirmed", "unconfirmed", "refused"]))
                if fate != "refused":
                    found += [event.offset for event in batch.events]
                    offsets = batch.offsets
                if fate != "confirmed":
                    raise Interrupted
            at += size
        except Interrupted:
            moved_on = min(len(ids), offsets["views"] + data.draw(st.sampled_from([0, 0, 2, 20])))
            found += [offset for offset in expected if offsets["views"] <= offset < moved_on]
            offsets = {"views": moved_on}
            assert seen.reopen(offsets)
            before, at = at, max(0, seen.next["views"])
            assert at >= before, "what an earlier poll has read is not read again"
    assert found == expected


def test_what_was_applied_is_not_forgotten() -> None:
    """A store that lost confirmed writes is behind what is remembered: the window must be read again."""
    seen = DuplicateWindow(5, {"views": 0}, KEY)
    assert list(batches_of(log_of([1, 2, 3]), {"views": 0}, "", seen, RULES, commit_rows=2))
    assert not seen.reopen({"views": 2})
    assert seen.reopen({"views": 3}) and seen.next == {"views": 3}


def size_of(seen: DuplicateWindow) -> int:
    """The bytes of all that it holds, wherever it holds it."""
    sizes: dict[int, int] = {}
    waiting: list[object] = [vars(seen)]
    while waiting:
        each = waiting.pop()
        if id(each) not in sizes:
            sizes[id(each)] = sys.getsizeof(each)
            waiting += gc.get_referents(each)
    return sum(sizes.values())


def test_memory_stays_bounded_however_many_batches_there_are() -> None:
    """What is kept to undo what was not applied goes when it is; after ten windows no more is held than after two."""
    window = 200
    seen, offsets = DuplicateWindow(window, {"views": 0}, KEY), {"views": 0}
    events = [Event(f"u{number % 7}", 1, event_id=f"e{number}") for number in range(10 * window)]
    records = [FakeRecord("views", n, event.user_id.encode(), encode(event)) for n, event in enumerate(events)]
    sizes = []
    for first in range(0, len(records), 50):
        for batch in batches_of(records[first : first + 50], offsets, "", seen, RULES, commit_rows=3):
            offsets = batch.offsets
        sizes.append(size_of(seen))
    assert max(sizes[8:]) < 1.25 * max(sizes[:8])


def held_bytes(seen: DuplicateWindow) -> int:
    return sum(len(entries) for buckets in seen._buckets.values() for entries in buckets)


def test_memory_is_bounded_by_the_window() -> None:
    """After twenty windows of ids, each seen once, not even two of them are kept."""
    window = 1_000
    seen = DuplicateWindow(window, {"views": 0}, KEY)
    for offset in range(20 * window):
        assert not seen.is_duplicate("views", b"u1", f"e{offset}", offset)
    assert held_bytes(seen) <= 2 * window * ENTRY_BYTES


def test_one_id_over_and_over_is_kept_once() -> None:
    seen = DuplicateWindow(1_000, {"views": 0}, KEY)
    assert not seen.is_duplicate("views", b"u1", "e1", 0)
    assert all(seen.is_duplicate("views", b"u1", "e1", offset) for offset in range(1, 500))
    assert held_bytes(seen) == ENTRY_BYTES


def test_user_and_id_stay_apart() -> None:
    """Where the one ends and the other begins is part of what is compared."""
    seen = DuplicateWindow(10, {"views": 0}, KEY)
    pairs = [("ab", "c"), ("a", "bc"), ("a\0b", "c"), ("a", "b\0c"), ("", "abc"), ("ÿ", "ÿÿ"), ("ÿÿ", "ÿ")]
    assert not any(seen.is_duplicate("views", user.encode(), event_id, 0) for user, event_id in pairs)
