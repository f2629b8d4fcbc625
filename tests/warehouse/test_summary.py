"""The batch summary equals a plain loop over the log, whatever the cuts and the repeats."""

from __future__ import annotations

import random

import pytest

from segmenter.events import Event
from segmenter.events.sharding import shard_of
from segmenter.warehouse import Warehouse
from tests.defaults import TOPICS
from tests.warehouse.world import (
    PARTITIONS,
    WINDOW,
    Cuts,
    Log,
    batch_counts,
    batch_rows,
    ends,
    load,
    log_of,
    random_log,
    snapshot,
    summed,
    user_row,
)


def batch(database: Warehouse, log: Log, window: int = WINDOW) -> dict[bytes, tuple[int, ...]]:
    """The summary of the whole log."""
    load(database, log)
    taken = snapshot(database, ends(log), [])
    return batch_rows(database, taken.snapshot_id, window)


@pytest.mark.parametrize("window", [0, 1, WINDOW, 100_000])
@pytest.mark.parametrize("seed", range(2))
def test_it_equals_a_plain_loop(database: Warehouse, seed: int, window: int) -> None:
    log = random_log(seed)
    expected = summed(log, lambda user, topic, part: len(log[topic, part]), window)
    assert len(expected) == 12
    assert batch(database, log, window) == expected


@pytest.mark.parametrize("seed", range(3))
def test_a_user_counts_up_to_the_own_cut_or_else_the_shards(database: Warehouse, seed: int) -> None:
    log, rng = random_log(seed), random.Random(seed)
    shards = {partition: rng.randrange(end) for partition, end in ends(log).items()}
    own: dict[bytes, dict[str, int]] = {}
    for name in ("u0", "u1", "u2", "u3", "u4", "u5", "u6"):
        part = shard_of(name.encode(), PARTITIONS)
        own[name.encode()] = {topic: rng.randrange(shards[topic, part], len(log[topic, part]) + 1) for topic in TOPICS}
    load(database, log)
    rows = [user_row(user, (0,) * 9, [cuts[topic] for topic in TOPICS]) for user, cuts in own.items()]
    taken = snapshot(database, shards, rows)
    expected = summed(log, lambda user, topic, part: own.get(user, {}).get(topic, shards[topic, part]))
    assert expected != summed(log, lambda user, topic, part: shards[topic, part])
    assert batch_rows(database, taken.snapshot_id, WINDOW) == expected


@pytest.mark.parametrize("window", [0, 1, WINDOW, 100_000])
@pytest.mark.parametrize("seed", range(2))
def test_a_shard_counts_up_to_its_own_cut_whatever_its_users_hold(database: Warehouse, seed: int, window: int) -> None:
    """Those that a plain loop counts, and the other events, which are duplicates."""
    log, rng = random_log(seed), random.Random(seed)
    shards = {partition: rng.randrange(end) for partition, end in ends(log).items()}
    load(database, log)
    ahead = user_row(b"u4", (0,) * 9, [max(len(records) for records in log.values())] * 3)
    taken = snapshot(database, shards, [ahead])
    found = batch_counts(database, taken.snapshot_id, window)
    for part in range(PARTITIONS):
        own = {
            user: profile
            for user, profile in plainly(log, shards, window).items()
            if shard_of(user, PARTITIONS) == part
        }
        folded = sum(profile[0] + profile[3] + profile[4] for profile in own.values())
        events = sum(
            event is not None
            for (topic, of), records in log.items()
            if of == part
            for event in records[: shards[topic, of]]
        )
        assert found[part] == (folded, events - folded)


def plainly(log: Log, cuts: Cuts, window: int) -> dict[bytes, tuple[int, ...]]:
    return summed(log, lambda user, topic, part: cuts[topic, part], window)


def test_snapshots_do_not_mix(database: Warehouse) -> None:
    log = random_log(7)
    load(database, log)
    taken = {cut: snapshot(database, dict.fromkeys(log, 0), [user_row(b"u4", (0,) * 9, (cut,) * 3)]) for cut in (5, 50)}
    for cut, one in taken.items():
        expected = summed(log, lambda user, topic, part, cut=cut: cut if user == b"u4" else 0)  # type: ignore[misc]
        assert list(expected) == [b"u4"]
        assert batch_rows(database, one.snapshot_id, WINDOW) == expected


def test_a_repeat_is_measured_from_the_one_before_counted_or_not(database: Warehouse) -> None:
    again, other = Event("u", 1, event_id="e"), Event("u", 2)
    near = [("views", again), *[("views", other)] * (WINDOW - 1), ("views", again), ("views", other), ("views", again)]
    far = [*[("views", other)] * WINDOW, ("views", again)]
    assert batch(database, log_of([*near, *far]))[b"u"][4] == 1 + (WINDOW - 1) + 1 + WINDOW + 1


def test_ids_of_other_users_and_topics_are_no_repeats(database: Warehouse) -> None:
    events = [(topic, Event(user, 1, event_id="e")) for topic in TOPICS for user in ("Bob", "bob", "bob ", "b\0", "b")]
    found = batch(database, log_of([*events, *events]), window=100)
    assert set(found) == {b"Bob", b"bob", b"bob ", b"b\0", b"b"}
    assert set(found.values()) == {(1, 0, 0, 1, 1, 0, 0, 1, 1)}


def test_event_ids_that_a_collation_would_merge_are_two(database: Warehouse) -> None:
    ids = ["e", "E", "\u00e9", "e ", "e\0", "07", "7", "7.0"]
    assert batch(database, log_of([("views", Event("u", 1, event_id=name)) for name in ids]))[b"u"][4] == len(ids)


def test_a_duration_counts_for_clicks_and_views_and_zero_is_one(database: Warehouse) -> None:
    events = [(topic, Event("u", 9, duration_ms=ms)) for topic in TOPICS for ms in (None, 0, 70)]
    assert batch(database, log_of(events))[b"u"] == (3, 2, 70, 3, 3, 2, 70, 9, 9)


def test_sums_beyond_32_bits_are_exact_integers(database: Warehouse) -> None:
    log = log_of([("views", Event("u", 253_402_300_799_999, duration_ms=86_399_999))] * 1_000)
    assert batch(database, log)[b"u"] == (0, 0, 0, 0, 1_000, 1_000, 86_399_999_000) + (253_402_300_799_999,) * 2
    (values,) = batch_types(database)
    assert values == {int}


def batch_types(database: Warehouse) -> list[set[type]]:
    return [set(map(type, values)) for values in batch_rows(database, 1, WINDOW).values()]
