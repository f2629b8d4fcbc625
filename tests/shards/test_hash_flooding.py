"""Event ids that somebody chose so that remembering them is slow: they cannot know the key."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from itertools import count, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmenter.shards.duplicates import BUCKET_ENTRIES, DIGEST_BYTES, ENTRY_BYTES, DuplicateWindow

WINDOW = 1_000
BUCKETS = WINDOW // BUCKET_ENTRIES + 1
CHOSEN = 200
"""A full window has 8 entries in a bucket on average, and hardly ever 30 in one."""


@pytest.fixture(scope="module")
def chosen() -> list[str]:
    """Event ids that fall into one bucket by the digest without a key, which anybody can compute."""

    def bucket(event_id: str) -> int:
        digest = blake2b(b"u1\xff" + event_id.encode(), digest_size=DIGEST_BYTES).digest()
        return int.from_bytes(digest[:8]) % BUCKETS

    return list(islice((each for each in map(str, count()) if bucket(each) == 0), CHOSEN))


def sizes(event_ids: Sequence[str], key: bytes) -> list[int]:
    """How many entries each bucket holds after these ids."""
    seen = DuplicateWindow(WINDOW, {"views": 0}, key)
    assert not any(seen.is_duplicate("views", b"u1", each, offset) for offset, each in enumerate(event_ids))
    return [len(entries) // ENTRY_BYTES for entries in seen._buckets["views"]]


@pytest.mark.parametrize("number", range(20))
def test_chosen_ids_fill_no_bucket(chosen: list[str], number: int) -> None:
    """Whatever the key is, they are spread like any others."""
    found = sizes(chosen, number.to_bytes(16))
    assert sum(found) == CHOSEN and max(found) <= 12


def test_without_a_key_they_would(chosen: list[str]) -> None:
    assert max(sizes(chosen, b"")) == CHOSEN


def test_each_key_spreads_otherwise(chosen: list[str]) -> None:
    """So what was learnt about one process says nothing about the next."""
    assert sizes(chosen, bytes(16)) != sizes(chosen, b"1" * 16)


@given(st.lists(st.integers(0, 9), max_size=60), st.integers(0, 20), st.binary(min_size=16, max_size=16))
def test_the_key_decides_nothing(ids: list[int], window: int, key: bytes) -> None:
    """Which events are duplicates is the same under any key: those that the rule says."""
    seen = DuplicateWindow(window, {"views": 0}, key)
    last: dict[int, int] = {}
    for offset, each in enumerate(ids):
        repeat = each in last and offset - last[each] <= window
        assert seen.is_duplicate("views", f"u{each % 3}".encode(), f"e{each}", offset) == repeat
        last[each] = offset
