"""When a worker or a sink counts as stuck."""

from __future__ import annotations

import pytest

from segmenter.operations.health import stuck


@pytest.mark.parametrize(
    ("beat", "at_end", "moved"),
    [(5_000, 60_000, None), (0, None, 60_000), (0, 1, 10**9), (0, 10**9, 1), (6_000, 6_000, 1)],
)
def test_who_is_at_the_end_or_moves_on_is_well(beat: int, at_end: int | None, moved: int | None) -> None:
    """At the end of the log an old commit is fine, and so is a long way from the end while there are commits."""
    assert stuck("worker", beat, at_end, moved, 5_000) is None


@pytest.mark.parametrize(
    ("ages", "words"),
    [
        ((5_001, 1, 7_000), "its worker has been silent for 5 s"),
        ((0, 60_001, 99_000), "or been at the end of the log for 60 s"),
        ((0, None, None), "or been at the end of the log ever"),
    ],
)
def test_who_is_stuck_is_told_why(ages: tuple[int, int | None, int | None], words: str) -> None:
    assert words in (stuck("worker", *ages, 5_000) or "")
