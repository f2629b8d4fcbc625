"""When a shard counts as stuck."""

from __future__ import annotations

import msgspec
import pytest

from segmenter.operations.health import problems
from segmenter.operations.status import Away, ShardStatus, Status, Window
from segmenter.settings import Settings

SETTINGS = Settings(partitions=1, stale_after_ms=5_000)


NOTHING = Status({}, {}, None, None, None, None, None, None, None, None, None, Window(0, None), [])
SHARD = ShardStatus(0, 0, None, None, None, None, None, 0, 0, 0, 0)


def found(**ages: int | str | None) -> Status:
    shards = [msgspec.structs.replace(SHARD, **ages)] if ages else []
    return msgspec.structs.replace(NOTHING, shards=shards)


@pytest.mark.parametrize(
    ("beat", "at_end", "commit"),
    [(5_000, 60_000, None), (0, None, 60_000), (0, 1, 10**9), (0, 10**9, 1), (6_000, 6_000, 1)],
)
def test_a_shard_that_is_at_the_end_or_gets_on_is_well(beat: int, at_end: int | None, commit: int | None) -> None:
    """An old commit is no harm at the end of the log, and a long way from the end none while there are commits."""
    assert list(problems(found(beat_age_ms=beat, age_ms=at_end, commit_age_ms=commit), SETTINGS)) == []


@pytest.mark.parametrize(
    ("shard", "words"),
    [
        ({}, "no worker has acquired it"),
        ({"beat_age_ms": None, "age_ms": None, "commit_age_ms": 5}, "no worker has acquired it"),
        ({"beat_age_ms": 5_001, "age_ms": 1, "commit_age_ms": 7_000}, "its worker has been silent for 5 s"),
        ({"beat_age_ms": 0, "age_ms": 60_001, "commit_age_ms": 99_000}, "or been at the end of the log for 60 s"),
        ({"beat_age_ms": 0, "age_ms": None, "commit_age_ms": None}, "or been at the end of the log ever"),
    ],
)
def test_a_stuck_shard_is_named(shard: dict[str, int | None], words: str) -> None:
    (line,) = problems(found(**shard), SETTINGS)
    assert line.startswith("shard 0 is stuck: ") and words in line


def test_a_parked_shard_is_named() -> None:
    """However lately it has sent a heartbeat."""
    (line,) = problems(found(beat_age_ms=0, age_ms=0, commit_age_ms=0, parked="its row is corrupt"), SETTINGS)
    assert line == "shard 0 is parked: its row is corrupt"


def test_without_redis_nothing_is_said_of_shards() -> None:
    away = msgspec.structs.replace(NOTHING, unreachable={"redis": Away("Redis does not answer", None)})
    assert list(problems(away, SETTINGS)) == ["Redis does not answer"]
