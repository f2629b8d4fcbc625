"""The status that follows from what Kafka, Redis and the warehouse say, for any of it, counted in another way."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from segmenter.errors import Corrupt
from segmenter.model.census import Tally
from segmenter.operations.parts import Live, Loaded, Log, Sink
from segmenter.operations.status import Away, status_of
from segmenter.settings import Settings
from segmenter.shards.state import UNKNOWN_SHARD, Counts
from segmenter.store.shards import StoredShard
from tests.defaults import TOPICS

NOW_MS = 1_700_000_000_000
SETTINGS = Settings(
    kafka="k:1", redis_url="redis://app:secret@r:2/0", warehouse_url="mysql+pymysql://app:secret@w:3/d",
    duplicate_window=77,
)  # fmt: skip
OFFSETS = st.fixed_dictionaries(dict.fromkeys(TOPICS, st.integers(0, 60)))
AGES = st.none() | st.integers(0, 10**9)
FEW = st.integers(0, 10**6)


class Shard(NamedTuple):
    """One shard, as it is."""

    ends: dict[str, int]
    """Where its log ends, by topic."""
    loaded: dict[str, int] | None
    """The next offset of the sink; None where it has loaded nothing."""
    read: dict[str, int] | None
    """The next offset of the worker; None before its first commit."""
    acquired: bool
    """Whether it ever had a worker."""
    beat_age_ms: int | None
    age_ms: int | None
    commit_age_ms: int | None
    log_age_ms: int | None
    users: dict[str, int]
    generation: int
    folded: int
    duplicates: int
    dead_letters: dict[str, int]
    fenced: int
    parked: str
    corrupt: bool

    def stored(self, number: int) -> StoredShard:
        """As it is found in Redis."""

        def at_ms(age_ms: int | None) -> int:
            return 0 if age_ms is None else NOW_MS - age_ms

        state = UNKNOWN_SHARD._replace(
            token="t", version=3, begun=3, feed=5,
            offsets=self.read,
            census={slug: Tally(users, (0,) * 4, (0,) * 4, (0,) * 4) for slug, users in self.users.items()},
            counts=Counts(self.folded, self.duplicates, self.dead_letters),
            generation=self.generation, fenced=self.fenced, parked=self.parked,
            beat_ms=at_ms(self.beat_age_ms), caught_up_ms=at_ms(self.age_ms),
            committed_ms=at_ms(self.commit_age_ms), log_seen_ms=at_ms(self.log_age_ms),
        )  # fmt: skip
        return StoredShard(state, Corrupt(f"feed of shard {number} cannot be read") if self.corrupt else None, {})


SHARDS = st.lists(
    st.builds(
        Shard, OFFSETS, st.none() | OFFSETS, st.none() | OFFSETS, st.booleans(), AGES, AGES, AGES, AGES,
        st.dictionaries(st.sampled_from(["low", "high", "unassigned"]), FEW), FEW, FEW, FEW,
        st.dictionaries(st.sampled_from(["malformed", "empty", "invalid"]), st.integers(1, 100)),
        FEW, st.sampled_from(["", "", "a row cannot be read"]), st.booleans(),
    ),
    min_size=1,
    max_size=4,
)  # fmt: skip


def partitions(of: list[dict[str, int] | None]) -> dict[tuple[str, int], int]:
    """Offsets by topic and partition, given those of each shard."""
    return {(topic, part): at for part, offsets in enumerate(of) for topic, at in (offsets or {}).items()}


def waiting(ends: dict[str, int], read: dict[str, int] | None) -> int:
    """How many records of a shard are not read, counted one by one."""
    return sum(
        1 for topic, end in ends.items() for offset in range(end) if read is None or offset not in range(read[topic])
    )


@given(SHARDS, AGES, st.builds(Sink, FEW, AGES, AGES), st.sets(st.sampled_from(["kafka", "redis", "warehouse"])))
def test_each_value_is_what_the_parts_say(
    shards: list[Shard], window_ms: int | None, sink: Sink, away: set[str]
) -> None:
    """What only a part that is away knows is None; of the others nothing is missing, and nothing is mixed up."""
    unreachable = {part: Away(f"{part} is gone", 5) for part in away}
    log = Log(partitions([shard.ends for shard in shards]), window_ms)
    acquired = {number: shard for number, shard in enumerate(shards) if shard.acquired}
    live = Live(NOW_MS, 9, {number: shard.stored(number) for number, shard in acquired.items()}, {})
    loaded = Loaded(partitions([shard.loaded for shard in shards]), sink)
    known, stored, held = "kafka" not in away, "redis" not in away, "warehouse" not in away
    found = status_of(SETTINGS, log if known else None, live if stored else None, loaded if held else None, unreachable)

    assert found.parts == {
        "kafka": "k:1",
        "redis": "redis://app:***@r:2/0",
        "warehouse": "mysql+pymysql://app:***@w:3/d",
    }
    assert found.unreachable == unreachable
    assert found.duplicate_window.records == 77 and found.duplicate_window.spans_ms == (window_ms if known else None)
    assert found.published == (sum(sum(shard.ends.values()) for shard in shards) if known else None)
    assert found.sink == (sink if held else None)
    lags = [waiting(shard.ends, shard.read if shard.acquired else None) for shard in shards]
    sink_lags = [waiting(shard.ends, shard.loaded) for shard in shards]
    assert found.lag == (sum(lags) if known and stored else None)
    assert found.sink_lag == (sum(sink_lags) if known and held else None)
    assert [shard.shard for shard in found.shards] == (list(acquired) if stored else [])
    for told in found.shards:
        shard = shards[told.shard]
        assert told.lag == (lags[told.shard] if known else None)
        assert told.sink_lag == (sink_lags[told.shard] if known and held else None)
        assert (told.beat_age_ms, told.age_ms, told.commit_age_ms) == shard[4:7]
        assert told.users == sum(shard.users.values())
        assert (told.generation, told.folded, told.duplicates, told.fenced) == (
            shard.generation, shard.folded, shard.duplicates, shard.fenced,
        )  # fmt: skip
        if shard.parked:
            assert told.problem == f"is parked: {shard.parked}"
        else:
            corrupt = f"is corrupt: feed of shard {told.shard} cannot be read. Run `segmenter verify --repair`."
            assert told.problem == (corrupt if shard.corrupt else None)
    totals = found.generation, found.users, found.folded, found.duplicates, found.fenced, found.dead_letters
    if not stored:
        assert totals == (None,) * 6
        return
    everyone = list(acquired.values())
    assert totals == (
        9,
        sum(sum(shard.users.values()) for shard in everyone),
        sum(shard.folded for shard in everyone),
        sum(shard.duplicates for shard in everyone),
        sum(shard.fenced for shard in everyone),
        {
            reason: sum(shard.dead_letters.get(reason, 0) for shard in everyone)
            for reason in {reason for shard in everyone for reason in shard.dead_letters}
        },
    )


def test_what_nobody_reads_waits_as_a_whole() -> None:
    """A shard that no worker has acquired, and one that its worker has not begun, have their whole log to come."""
    log = Log({(topic, part): 10 * (part + 1) for topic in TOPICS for part in range(3)}, None)
    begun = UNKNOWN_SHARD._replace(offsets=dict.fromkeys(TOPICS, 4))
    live = Live(NOW_MS, 0, {0: StoredShard(begun, None, {}), 1: StoredShard(UNKNOWN_SHARD, None, {})}, {})
    found = status_of(SETTINGS, log, live, Loaded({}, None), {})
    assert (found.lag, found.sink_lag) == (3 * (6 + 20 + 30), 3 * (10 + 20 + 30))
    assert [(shard.lag, shard.sink_lag) for shard in found.shards] == [(18, 30), (60, 60)]
