"""What `segmenter status` and `segmenter lookup` print for people: each number beside its own name."""

from __future__ import annotations

import pytest

from segmenter.cli import common, lookup, status, verify
from segmenter.client import Answer
from segmenter.errors import UsageError
from segmenter.operations.integrity.differences import Difference
from segmenter.operations.status import Away, ShardStatus, Sink, Status, Window

FOUND = Status(
    parts={"kafka": "k:1", "redis": "redis://r:2/0", "warehouse": "sqlite:///w.db"},
    unreachable={},
    generation=1, published=2_000, users=3_000, folded=4_000, duplicates=5_000, fenced=6_000,
    dead_letters={"empty": 7_000, "malformed": 100}, lag=8_000, sink_lag=9_000,
    sink=Sink(10_000, 11_000, 12_000),
    duplicate_window=Window(13_000, 14_000_000),
    waiting={"the kind add_to_cart (carts, amount)": [0, 3]},
    shards=[
        ShardStatus(0, 20, 21, 22, 23_000, 24_000, 25_000, 26, 27, 28, 29),
        ShardStatus(1, 30, 31, 32, None, None, None, 36, 37, 38, 39, "is parked: a row cannot be read"),
    ],
)  # fmt: skip


def lines_of(found: Status) -> list[str]:
    """What is printed of it, each line without the frame of the table."""
    with common.console.capture() as captured:
        status.show(found)
    return [" ".join(line.replace("│", " ").replace("┃", " ").split()) for line in captured.get().splitlines()]


def test_a_status_for_people_has_each_number_beside_its_name() -> None:
    lines = lines_of(FOUND)
    assert lines[:3] == ["kafka: k:1", "redis: redis://r:2/0", "warehouse: sqlite:///w.db"]
    for line in (
        "3,000 users by generation 1; of 2,000 records 4,000 folded, 5,000 duplicates, 7,100 dead letters, 8,000 to "
        "come, 9,000 to be loaded; 6,000 writes fenced",
        "a repeated event id counts once within 13,000 records of its topic and partition: now the last 3 h 53 min or "
        "more",
        "sink: complete up to 11.0 s ago, heartbeat 10.0 s ago",
        "shard users lag sink lag complete up to last commit heartbeat fenced generation",
        "0 20 21 22 24.0 s ago 25.0 s ago 23.0 s ago 29 26",
        "1 30 31 32 never never never 39 36",
        "shard 1 is parked: a row cannot be read",
        "the kind add_to_cart (carts, amount) waits for the workers of shards 0, 3: restart them with the same "
        "settings",
    ):
        assert line in lines


def test_a_status_for_people_says_what_is_away_and_since_when() -> None:
    """What nobody can say then is a question mark, and not 0."""
    away = {"kafka": Away("it is gone", 86_400_000), "warehouse": Away("closed", None)}
    lines = lines_of(Status(
        parts=FOUND.parts, unreachable=away, generation=1, published=None, users=3, folded=4, duplicates=5, fenced=6,
        dead_letters={}, lag=None, sink_lag=None, sink=None, duplicate_window=Window(13_000, None),
        waiting={},
        shards=[ShardStatus(0, 20, None, None, 0, 0, 0, 26, 27, 28, 29)],
    ))  # fmt: skip
    since = "kafka is away, last reached at 1970-01-02 00:00:00 UTC, "
    assert any(line.startswith(since) and line.endswith(" s ago: it is gone") for line in lines)
    assert "warehouse is away, since when is not known: closed" in lines
    assert (
        "3 users by generation 1; of ? records 4 folded, 5 duplicates, 0 dead letters, ? to come, ? to be loaded; "
        "6 writes fenced"
    ) in lines
    assert "0 20 ? ? 0.0 s ago 0.0 s ago 0.0 s ago 29 26" in lines
    assert not any("counts once" in line or line.startswith("sink:") for line in lines)


@pytest.mark.parametrize(("age_ms", "stale", "words"), [
    (1_500, False, "generation 7, complete up to 1.5 s ago"),
    (9_000, True, "generation 7, complete up to 9.0 s ago, STALE"),
    (None, True, "generation 7, complete up to never, STALE"),
])  # fmt: skip
def test_a_lookup_for_people_says_how_fresh_it_is(age_ms: int | None, stale: bool, words: str) -> None:
    with common.console.capture() as captured:
        lookup.show([Answer("u1", "low", "Seldom here", {"x": None}, {"clicks": 3}, 7, {"views": 5}, age_ms, stale)])
    shown = [line.strip() for line in captured.get().splitlines()]
    assert shown == ["'u1': Seldom here", "features: x missing", "aggregates: clicks 3", "offsets: views 5", words]


def test_of_many_differences_the_first_are_shown_and_all_are_counted() -> None:
    """So a store in which everything is wrong scrolls nothing away."""
    found = [Difference(0, "row", f"u{number}", "segment", "low", "high")._asdict() for number in range(45)]
    with common.console.capture() as captured:
        verify._show({"shards": 2, "users": 3_000, "differences": found})
    first, *shown, last = captured.get().splitlines()
    assert first == "2 shards, 3,000 users, 45 differences"
    assert shown == [f"  shard 0: row u{number} segment is low, should be high" for number in range(20)]
    assert last == "  and 25 more: --json prints all"


def test_a_past_segment_for_people_says_what_is_not_known() -> None:
    user = {"known": True, "segment": "low", "name": "Low", "before": None, "after": None}
    report = {
        "at_ms": 1_772_355_600_000,
        "users": [
            {"user": "a", **user},
            {"user": "b", **user, "segment": None, "name": None},
            {
                **{"user": "[c]", "known": False, "segment": "unknown", "name": "Unknown"},
                **{"before": {"at_ms": 1_772_352_000_000, "segment": "low"}, "after": None},
            },
        ],
    }
    with common.console.capture() as captured:
        lookup._show_past(report, "Europe/Berlin")
    at = "2026-03-01 10:00:00 Europe/Berlin"
    assert captured.get().splitlines() == [
        f"'a': Low at {at}",
        f"'b': no events yet at {at}",
        f"'[c]': unknown at {at}",
        "  known before: low at 2026-03-01 09:00:00 Europe/Berlin",
        "  known after: nothing",
    ]


@pytest.mark.parametrize("text", ["yesterday", "", "2026-13-01", "9:30", "0001-01-01T00:00+14:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--at is .*; allowed: a time such as 2026-03-01T09:30"):
        lookup.time_of(text, "UTC")
