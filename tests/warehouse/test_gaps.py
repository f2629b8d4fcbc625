"""What the warehouse lacks, since the log had lost it: recorded, and named by each comparison."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from consumers.sink import raw_row
from segmenter import warehouse
from segmenter.errors import Fenced
from segmenter.events import Event
from segmenter.events.sharding import shard_of
from segmenter.operations.comparison import Reconciliation
from segmenter.operations.reconcile import reconcile
from segmenter.settings import Settings
from segmenter.shards.state import Counts
from segmenter.warehouse import Cut, Gap, Loaded, Move, Partition, Warehouse
from segmenter.warehouse.engine import writing
from segmenter.warehouse.gaps import record
from tests import verbs
from tests.defaults import TOPICS
from tests.warehouse.world import (
    PARTITIONS,
    WINDOW,
    Log,
    Profile,
    Record,
    ends,
    load,
    random_log,
    snapshot,
    summed,
    user_row,
)

AT: Partition = ("views", 1)
FIRST, END = 10, 25
GAP = Gap(*AT, FIRST, END, 7)


@pytest.fixture
def settings(warehouse_url: str) -> Settings:
    return Settings(warehouse_url=warehouse_url, partitions=PARTITIONS, duplicate_window=WINDOW)


def load_but(database: Warehouse, log: Log, gap: Gap) -> None:
    """Load the log as a sink does that comes too late for some of it."""
    load(database, log, {**ends(log), AT: gap.first_pos})
    warehouse.skip(database, [gap])
    rows = [
        raw_row(Record(*AT, pos), "t1", event)
        for pos, event in enumerate(log[AT])
        if event is not None and pos >= gap.end_pos
    ]
    warehouse.load(database, {"views": rows}, {AT: Move(gap.end_pos, len(log[AT]))})


def stream_of(log: Log) -> dict[bytes, Profile]:
    return summed(log, lambda user, topic, part: len(log[topic, part]))


def take(
    database: Warehouse, log: Log, stream: dict[bytes, tuple[int, ...]], begins: dict[str, int] | None = None
) -> None:
    """A snapshot at the end of the log; the shard of the gap began where ``begins`` says."""
    cuts = {at: Cut("t1", end) for at, end in ends(log).items()}
    rows = [
        user_row(user, profile, [len(log[topic, shard_of(user, PARTITIONS)]) for topic in TOPICS])
        for user, profile in stream.items()
    ]
    counts = {AT[1]: f'{{"folded": 1, "begins": {begins}}}'.replace("'", '"')} if begins else {}
    warehouse.write_snapshot(database, 1_000, cuts, [rows], 0, None, counts)


def users_within(log: Log, gap: Gap) -> set[bytes]:
    events = log[AT][gap.first_pos : gap.end_pos]
    return {event.user_id.encode() for event in events if event is not None}


def test_a_gap_is_recorded_with_the_offset_after_it_or_not_at_all(database: Warehouse) -> None:
    warehouse.begin(database, {AT: Loaded("t1", 0), ("views", 0): Loaded("t1", 0)}, 7)
    warehouse.load(database, {}, {AT: Move(0, FIRST), ("views", 0): Move(0, 3)})
    other = Gap("views", 0, 4, 9, 7)
    with pytest.raises(Fenced, match="'views' partition 0 no longer stands at 4"):
        warehouse.skip(database, [GAP, other])
    assert warehouse.recorded_gaps(database) == []
    assert warehouse.loaded(database)[AT].next_pos == FIRST
    warehouse.skip(database, [GAP])
    assert warehouse.recorded_gaps(database) == [GAP]
    assert warehouse.loaded(database) == {AT: Loaded("t1", END), ("views", 0): Loaded("t1", 3)}


@pytest.mark.parametrize(("first", "gaps"), [(0, []), (30, [Gap(*AT, 0, 30, 7)])])
def test_what_was_lost_before_the_first_load_is_a_gap_once(database: Warehouse, first: int, gaps: list[Gap]) -> None:
    """Of two sinks that begin at once, the log may have lost more by the time of the second."""
    assert warehouse.begin(database, {AT: Loaded("t1", first)}, 7) == gaps
    assert warehouse.begin(database, {AT: Loaded("t1", 40)}, 8) == []
    assert warehouse.loaded(database) == {AT: Loaded("t1", first)}
    assert warehouse.recorded_gaps(database) == gaps


def test_reconcile_names_the_gap_and_who_differs_because_of_it(database: Warehouse, settings: Settings) -> None:
    """Only those who have events there: the stream has them, the warehouse has not."""
    log = random_log(1)
    load_but(database, log, GAP)
    take(database, log, stream_of(log))
    result = reconcile(settings)[1]
    assert result.gaps == (GAP,) and not result.equal
    assert result.differing + result.extra == result.in_gaps == len(users_within(log, GAP)) > 1
    assert {example.user for example in result.examples} <= users_within(log, GAP)


def test_a_gap_of_events_that_the_stream_lacks_too_is_harmless(database: Warehouse, settings: Settings) -> None:
    """The proof is that nothing of the shard differs."""
    log = random_log(1)
    load_but(database, log, GAP)
    without = {at: [*records] for at, records in log.items()}
    without[AT][FIRST:END] = [None] * (END - FIRST)
    take(database, log, stream_of(without))
    assert reconcile(settings)[1].equal


def test_who_differs_for_another_reason_is_told_apart(database: Warehouse, settings: Settings) -> None:
    """In the same shard, by a number that no event of the gap adds to; such users are shown first."""
    log = random_log(1)
    load_but(database, log, GAP)
    stream = stream_of(log)
    victim = max(user for user in stream if shard_of(user, PARTITIONS) == AT[1])
    stream[victim] = (*stream[victim][:3], stream[victim][3] + 1, *stream[victim][4:])
    take(database, log, stream)
    result = reconcile(settings)[1]
    assert result.in_gaps == len(users_within(log, GAP) - {victim})
    assert result.examples[0].user == victim


@pytest.mark.parametrize(
    ("begins", "named"), [({"views": END}, False), ({"views": END - 1}, True), ({"searches": END}, True)]
)
def test_a_gap_before_the_stream_began_is_none(
    database: Warehouse, settings: Settings, begins: dict[str, int], named: bool
) -> None:
    log = random_log(1)
    load_but(database, log, GAP)
    take(database, log, stream_of(log), begins)
    assert (reconcile(settings)[1].gaps == (GAP,)) is named


def test_a_gap_beyond_the_snapshot_is_none_yet(database: Warehouse, settings: Settings) -> None:
    log = random_log(1)
    load(database, log)
    rows = [
        user_row(user, profile, [len(log[topic, shard_of(user, PARTITIONS)]) for topic in TOPICS])
        for user, profile in stream_of(log).items()
    ]
    taken = snapshot(database, ends(log), rows)
    warehouse.skip(database, [Gap(*AT, len(log[AT]), len(log[AT]) + 5, 7)])
    assert reconcile(settings) == (taken, Reconciliation(12, 0, 0, 0, ()))


def test_counts_of_a_shard_with_a_gap_are_not_compared(database: Warehouse, settings: Settings) -> None:
    """The batch does not know how many there must be; of the other shards it does."""
    log = random_log(1)
    load_but(database, log, GAP)
    right = {}
    for part in range(PARTITIONS):
        own = [profile for user, profile in stream_of(log).items() if shard_of(user, PARTITIONS) == part]
        events = sum(event is not None for at, records in log.items() if at[1] == part for event in records)
        folded = sum(profile[0] + profile[3] + profile[4] for profile in own)
        right[part] = Counts(folded, events - folded)
    take(database, log, stream_of(log))
    with writing(database) as connection:
        for part, counts in right.items():
            values = {"part": part, "counts": f'{{"folded": {counts.folded}, "duplicates": {counts.duplicates}}}'}
            statement = "INSERT INTO snapshot_shards (snapshot_id, part, counts) VALUES (1, :part, :counts)"
            connection.execute(text(statement), values)
    assert reconcile(settings)[1].counts == ()


def test_event_ids_of_the_gap_are_no_duplicates_for_the_batch(database: Warehouse, settings: Settings) -> None:
    """A repeat after the gap counts there, since its first is not known: the user may differ because of that."""
    once, again = Event("u4", 5, event_id="e", duration_ms=3), Event("u4", 6, event_id="e", duration_ms=4)
    log: Log = {(topic, part): [] for topic in TOPICS for part in range(PARTITIONS)}
    part = shard_of(b"u4", PARTITIONS)
    log["views", part] = [Event("u4", 1), once, again]
    gap = Gap("views", part, 1, 2, 7)
    load(database, log, {**dict.fromkeys(log, 0), ("views", part): 1})
    warehouse.skip(database, [gap])
    rows = [raw_row(Record("views", part, 2), "t1", again)]
    warehouse.load(database, {"views": rows}, {("views", part): Move(2, 3)})
    take(database, log, stream_of(log))
    result = reconcile(settings)[1]
    assert (result.differing, result.in_gaps, result.gaps) == (1, 1, (gap,))
    assert "views" not in result.examples[0].fields


def test_a_gap_that_only_rows_reach_is_named(database: Warehouse, settings: Settings) -> None:
    """The rows were read after the offsets of their shard, and hold events of the gap already."""
    log = random_log(1)
    load_but(database, log, GAP)
    rows = [
        user_row(user, profile, [len(log[topic, shard_of(user, PARTITIONS)]) for topic in TOPICS])
        for user, profile in stream_of(log).items()
    ]
    snapshot(database, {**ends(log), AT: FIRST}, rows)
    result = reconcile(settings)[1]
    assert result.gaps == (GAP,)
    assert result.in_gaps == result.differing + result.extra == len(users_within(log, GAP))


def test_a_hole_in_the_proof_alone_ends_the_command_with_1(
    database: Warehouse, settings: Settings, warehouse_url: str
) -> None:
    """No user differs, but the shard has counted events of the gap, and nobody can show that it was right to."""
    log = random_log(1)
    load_but(database, log, GAP)
    without = {at: [*records] for at, records in log.items()}
    without[AT][FIRST:END] = [None] * (END - FIRST)
    take(database, log, stream_of(without), {"views": 1})
    names = {"WAREHOUSE_URL": warehouse_url, "PARTITIONS": PARTITIONS, "DUPLICATE_WINDOW": WINDOW}
    environment = {f"SEGMENTER_{name}": str(value) for name, value in names.items()}
    done = verbs.run("reconcile", "--wait", "0", environment=environment)
    assert "stream = batch, as far as the warehouse knows: compared 12, differing 0, missing 0, extra 0" in done.stdout
    assert f"the warehouse lacks offsets {FIRST} to {END - 1} of topic 'views' partition 1" in done.stdout
    assert done.returncode == 1


def test_only_an_assumed_gap_is_taken_back(database: Warehouse) -> None:
    """One that the sink itself has seen stays, whatever the log says later."""
    assumed = Gap("views", 0, 0, 9, 0)
    seen = Gap(*AT, 0, END, 7)
    warehouse.begin(database, {AT: Loaded("t1", END)}, 7)
    with writing(database) as connection:
        record(connection, [assumed])
    warehouse.withdraw(database, [AT])
    assert warehouse.recorded_gaps(database) == [assumed, seen]
    warehouse.withdraw(database, [AT, ("views", 0)])
    assert warehouse.recorded_gaps(database) == [seen]
