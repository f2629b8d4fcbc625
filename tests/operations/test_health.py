"""When a worker or a sink counts as stuck."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import text

from segmenter import warehouse
from segmenter.errors import Unreachable
from segmenter.events import Rules
from segmenter.operations.health import problems, stuck
from segmenter.settings import Settings
from segmenter.store.connection import clock_ms, connect
from segmenter.store.keys import Keys
from segmenter.store.meta import claim
from segmenter.warehouse.engine import writing
from tests.loop.helpers import set_clock_ahead


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


AGES = st.none() | st.integers(0, 200_000)


@given(st.integers(0, 200_000), AGES, AGES, st.integers(1_000, 90_000))
@example(5_000, None, 0, 5_000)
@example(5_001, 5_001, 5_001, 5_000)
@example(0, 60_000, None, 5_000)
@example(0, 60_001, 60_001, 5_000)
def test_any_ages_are_judged_by_what_they_mean(
    beat: int, at_end: int | None, moved: int | None, silent_after: int
) -> None:
    """Alive is who has beaten or moved lately; well is who, alive, was at the end or has moved within a minute."""

    def within(age: int | None, most: int) -> bool:
        return age is not None and age <= most

    said = stuck("worker", beat, at_end, moved, silent_after)
    if not (within(beat, silent_after) or within(moved, silent_after)):
        assert said is not None and said.startswith("its worker has been silent for ")
    elif not (within(at_end, 60_000) or within(moved, 60_000)):
        assert said is not None and said.startswith("it has not moved on or been at the end of the log ")
    else:
        assert said is None


SHARDS = 3
NEVER, NOW, MINUTES = None, 1_000, 600_000
"""An age is within any limit, or beyond it."""

SILENT_AFTER_MS = 60_000
"""Long enough for a machine that is busy meanwhile."""


def verdict(silent: bool, stands_still: bool) -> str | None:
    """What must be said of a worker or a sink."""
    if silent:
        return "has been silent for"
    return "has not moved on or been at the end of the log" if stands_still else None


def test_each_shard_is_judged_by_its_own_times(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that beats, was at the end, or has committed; of as many shards as the store says that it has."""
    set_clock_ahead(monkeypatch)
    settings = replace(settings, stale_after_ms=SILENT_AFTER_MS)
    store = replace(settings, partitions=SHARDS)
    told = list(product([NOW, MINUTES], [NEVER, NOW, MINUTES], [NEVER, NOW, MINUTES]))
    with closing(connect(store)) as client:
        claim(client, store, Rules.of(store))
        assert [line.split(":")[0] for line in problems(settings, "worker")] == [
            f"shard {number} is stuck" for number in range(SHARDS)
        ]
        for first in range(0, len(told), SHARDS):
            of_shards = told[first : first + SHARDS]
            now_ms = clock_ms(client)
            for number, ages in enumerate(of_shards):
                names = ("beat_ms", "caught_up_ms", "committed_ms")
                times = {name: now_ms - age for name, age in zip(names, ages, strict=True) if age is not None}
                client.delete(Keys(store.key_prefix).shard(number))
                client.hset(Keys(store.key_prefix).shard(number), mapping={"token": "t", **times})
            expected = {
                number: words
                for number, (beat, at_end, moved) in enumerate(of_shards)
                if (words := verdict(NOW not in (beat, moved), NOW not in (at_end, moved)))
            }
            for own in (1, SHARDS, 4):
                lines = problems(replace(settings, partitions=own), "worker")
                assert len(lines) == len(expected)
                for line, (number, words) in zip(lines, expected.items(), strict=True):
                    assert line.startswith(f"shard {number} is stuck: ") and words in line, of_shards


def test_a_sink_is_judged_by_its_own_times(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    set_clock_ahead(monkeypatch)
    with warehouse.connect(settings) as database:
        warehouse.migrate(database, 0)
        for beat, at_end, moved in product([NOW, MINUTES], [NEVER, NOW, MINUTES], [NEVER, NOW, MINUTES]):
            warehouse.send_sink_heartbeat(database, warehouse.clock_ms(database), loaded=True)
            names = {"beat_ms": beat, "caught_up_ms": at_end, "loaded_ms": moved}
            times = [f"{name} = {0 if age is None else f'{name} - {age}'}" for name, age in names.items()]
            with writing(database) as connection:
                connection.execute(text(f"UPDATE sink_heartbeat SET {', '.join(times)}"))
            words = verdict(NOW not in (beat, moved), NOW not in (at_end, moved))
            lines = problems(settings, "sink")
            assert len(lines) == (words is not None), names
            assert all(line.startswith("the sink is stuck: ") and words in line for line in lines if words), names


def test_a_part_that_is_away_hides_no_problem_of_another(settings: Settings) -> None:
    """Whoever asks for everything is told of each part that is away, and of each that is stuck.

    Without topics Kafka counts as away.
    """
    with closing(connect(settings)) as client, warehouse.connect(settings) as database:
        claim(client, settings, Rules.of(settings))
        warehouse.migrate(database, 0)
    with pytest.raises(Unreachable) as told:
        problems(settings)
    kafka, *shards, sink = str(told.value).splitlines()
    assert settings.topic_prefix in kafka
    assert shards == [
        f"shard {number} is stuck: no worker has acquired it. Start `segmenter worker`."
        for number in range(settings.partitions)
    ]
    assert sink == "no sink has loaded into the warehouse. Start `segmenter sink`."
