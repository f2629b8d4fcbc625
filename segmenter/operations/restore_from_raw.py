"""Restore without a snapshot: the store is made what the raw events in the warehouse say, up to the sink's offsets.

The rows are those of the batch summary. They are judged by the model of the latest snapshot; without one, users are
unassigned until the next refit. Workers read on from the sink's offsets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import msgspec

from segmenter import warehouse
from segmenter.errors import UsageError
from segmenter.events import Rules, shard_of
from segmenter.model.profiles import Profile
from segmenter.operations.progress import Progress, silent
from segmenter.operations.restore import Plan, records_to_come, require_replaceable, state_at, write
from segmenter.settings import Settings
from segmenter.shards.state import Counts
from segmenter.warehouse import AllLoaded, BatchCounts, Cut, Partition, SnapshotUser, Warehouse

USERS_AT_A_TIME = 5_000

_INSTEAD = "Run `segmenter sink --once --skip-gap`, which records the gap, and then this again (docs/outages.md)."


def restore_from_raw(settings: Settings, replace: bool = False, progress: Progress = silent) -> Plan:
    """Restore the raw events: `prepare_from_raw`, then `segmenter.operations.restore.write`."""
    with progress("summing up the raw events", None):
        plan = prepare_from_raw(settings, replace)
    with progress("restoring users", plan.users) as advance:
        write(settings, plan, advance)
    return plan


def prepare_from_raw(settings: Settings, replace: bool = False) -> Plan:
    """Sum up the raw events, and make sure that workers can read on from there.

    Raises what `require_replaceable` does; `UsageError` when the sink has loaded nothing; `TopicRecreated`; and
    `LogTruncated` when the log does not hold what follows the sink's offsets.
    """
    require_replaceable(settings, replace)
    with warehouse.connect(settings) as database:
        warehouse.require_schema(database)
        warehouse.require_rules(database, Rules.of(settings))
        loaded = warehouse.all_loaded(database, settings.duplicate_window)
        if not loaded.offsets:
            raise UsageError("the warehouse holds no raw events: run `segmenter worker --from-log-start` instead.")
        cuts = {at: Cut(*position) for at, position in loaded.offsets.items()}
        dead_letters = _known_dead_letters(database, cuts)
        generation = warehouse.latest_generation(database)
    begins = warehouse.begins(loaded.gaps)
    states = {
        number: state_at(
            number,
            cuts,
            Counts(*loaded.counts.get(number, BatchCounts(0, 0)), dead_letters.get(number, {}), begins.get(number, {})),
            generation,
        )
        for number in range(settings.partitions)
    }
    to_come = records_to_come(settings, cuts, _INSTEAD)
    users = partial(_users, settings, loaded)
    return Plan(None, len(loaded.profiles), users, generation, states, to_come, loaded.gaps)


def _known_dead_letters(database: Warehouse, cuts: Mapping[Partition, Cut]) -> dict[int, dict[str, int]]:
    """The counts of dead letters in the latest snapshot, for shards in which it is not beyond the cuts."""
    latest = warehouse.latest_snapshot(database)
    if latest is None:
        return {}
    kept = warehouse.snapshot_cuts(database, latest.snapshot_id)
    counts, nothing = warehouse.snapshot_counts(database, latest.snapshot_id), Cut(None, 0)
    return {
        number: msgspec.json.decode(each, type=Counts).dead_letters
        for number, each in counts.items()
        if all(cut.next_pos <= cuts.get(at, nothing).next_pos for at, cut in kept.items() if at[1] == number)
    }


def _users(settings: Settings, loaded: AllLoaded) -> Iterator[list[SnapshotUser]]:
    """Every user, in batches."""
    offsets = {
        number: {topic: at.next_pos for (topic, part), at in loaded.offsets.items() if part == number}
        for number in range(settings.partitions)
    }

    def kept(user: bytes, profile: Profile) -> SnapshotUser:
        number = shard_of(user, settings.partitions)
        return SnapshotUser(user, number, profile, offsets[number])

    users = sorted(loaded.profiles)
    for first in range(0, len(users), USERS_AT_A_TIME):
        yield [kept(user, loaded.profiles[user]) for user in users[first : first + USERS_AT_A_TIME]]
