"""The two sides of a reconciliation, from the warehouse: the stream by a snapshot, and the batch up to its cuts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from segmenter import warehouse
from segmenter.errors import WarehouseBehind
from segmenter.events import Rules, shard_of
from segmenter.kinds import Kind, by_topic, catalogue
from segmenter.model.features import features
from segmenter.model.profiles import TIMES, Profile, fields
from segmenter.operations.comparison import Number, Reconciliation, compare, unequal
from segmenter.operations.integrity.differences import Difference
from segmenter.operations.progress import Progress, silent
from segmenter.settings import Settings
from segmenter.shards.state import Counts
from segmenter.warehouse import BatchCounts, Gap, Partition, Reach, Snapshot, Warehouse

Values = tuple[Number, ...]
"""The numbers of one user, in the order of `warehouse.value_columns`."""


class BothSides(NamedTuple):
    """What stream and batch say of each user and shard."""

    taken: Snapshot
    kinds: tuple[Kind, ...]
    partitions: int
    cuts: dict[Partition, int]
    """The next offset of each partition, by the snapshot."""
    stream: dict[bytes, Values]
    """Like ``batch``, only users who are not the same on both sides."""
    batch: dict[bytes, Values]
    stream_counts: dict[int, Counts]
    batch_counts: dict[int, BatchCounts]
    begins: dict[int, dict[str, int]]
    """The first offset of each topic that the batch knows of a shard, where that is not 0."""
    full: bool
    """Whether all raw events were summed up anew."""
    summary_wrong: bool
    """Whether the batch summary turned out not to be what the raw events add up to."""
    gaps: list[Gap]
    """What the batch lacks of the events that the stream may have, in shards that differ."""

    @property
    def unknown(self) -> set[int]:
        """The shards of which the batch does not know all events."""
        return {gap.part for gap in self.gaps}

    def without_harmless_gaps(self) -> BothSides:
        """Where nothing differs, the stream has applied no event of a gap."""
        users = unequal(self.stream, self.batch) if self.gaps else set()
        counts = {difference.shard for difference in self._replace(gaps=[])._wrong_counts()}
        differing = counts | {shard_of(user, self.partitions) for user in users}
        return self._replace(gaps=[gap for gap in self.gaps if gap.part in differing])

    def right_counts(self, number: int) -> BatchCounts:
        """What a shard must have counted."""
        return self.batch_counts.get(number, BatchCounts(0, 0))

    def wrong_users(self) -> set[bytes]:
        """The users who differ, without those of whom the batch may not know all events."""
        return {
            user for user in unequal(self.stream, self.batch) if shard_of(user, self.partitions) not in self.unknown
        }

    def compared(self) -> Reconciliation:
        """Stream minus batch."""
        found = compare(warehouse.value_columns(self.kinds), self.stream, self.batch, in_gap=self._in_gap)
        both = self.taken.users - found.extra
        wrong, gaps = tuple(self._wrong_counts()), tuple(self.gaps)
        return found._replace(compared=both, counts=wrong, gaps=gaps, full=self.full, summary_wrong=self.summary_wrong)

    def _wrong_counts(self) -> list[Difference]:
        found = [
            Difference(number, "counts", "", name, getattr(counts, name), getattr(self.right_counts(number), name))
            for number, counts in self.stream_counts.items()
            for name in BatchCounts._fields
            if number not in self.unknown
        ]
        return [difference for difference in found if difference.stored != difference.expected]

    def _in_gap(self, user: bytes) -> bool:
        """Whether all that differs of a user are numbers that the events in the gaps have a part in."""
        if user not in self.stream:
            return False
        part = shard_of(user, self.partitions)
        kinds, names = by_topic(self.kinds), fields(self.kinds)
        of_gaps = {name for gap in self.gaps if gap.part == part for name in kinds[gap.topic].fields}
        stream = self.stream[user]
        batch = self.batch.get(user, (0,) * len(names))
        differing = {name for name, left, right in zip(names, stream, batch, strict=False) if left != right}
        return bool(of_gaps) and bool(differing) and differing <= {*of_gaps, *TIMES}


def read_both_sides(
    settings: Settings,
    snapshot_id: int | None,
    wait_s: float,
    full: bool = False,
    kinds: tuple[Kind, ...] | None = None,
    progress: Progress = silent,
) -> BothSides:
    """A snapshot, by default the latest, and the batch summary up to its cuts, of the kinds of the settings or fewer.

    The batch summary is refreshed up to there. With ``full``, every raw event is summed up anew, and nothing is
    written. Raises `WarehouseBehind` when the sink does not load within ``wait_s`` seconds what the snapshot needs.
    """
    with warehouse.connect(settings) as database:
        warehouse.require_schema(database)
        taken = warehouse.find_snapshot(database, snapshot_id)
        number, window = taken.snapshot_id, settings.duplicate_window
        warehouse.require_rules(database, Rules.of(settings))
        reach = warehouse.reach_of(database, number)
        _await_sink(database, taken, reach, wait_s)
        kept = warehouse.snapshot_counts(database, number)
        counts = {part: msgspec.json.decode(each, type=Counts) for part, each in kept.items()}
        recorded = warehouse.recorded_gaps(database)
        if not full:
            with progress("summing up new raw events", warehouse.waiting(database, reach.cuts)) as advance:
                warehouse.refresh_summary(database, window, reach.cuts, advance)
        with progress("comparing users", taken.users) as advance:
            found = warehouse.compare_snapshot(database, number, reach, window, full)
            advance(taken.users)
        warehouse.find_snapshot(database, number)  # it was not removed meanwhile
    kinds = kinds or settings.kinds
    pick = [warehouse.value_columns(settings.kinds).index(name) for name in warehouse.value_columns(kinds)]
    stream: dict[bytes, Values] = {}
    batch: dict[bytes, Values] = {}
    for user, every_value, profile in found.unequal:
        in_stream = None if every_value is None else tuple([every_value[at] for at in pick])
        in_batch = None if profile is None else tuple([_values(profile, settings.kinds)[at] for at in pick])
        if in_stream != in_batch:
            stream |= {} if in_stream is None else {user: in_stream}
            batch |= {} if in_batch is None else {user: in_batch}
    gaps = [gap for gap in recorded if _is_relevant(gap, reach, counts)]
    sides = BothSides(
        taken,
        kinds,
        settings.partitions,
        reach.cuts,
        stream,
        batch,
        counts,
        found.counts,
        warehouse.begins(recorded),
        found.full,
        found.summary_wrong,
        gaps,
    )
    return sides.without_harmless_gaps()


def _values(profile: Profile, kinds: tuple[Kind, ...]) -> Values:
    return (*profile, *features(dict(zip(fields(kinds), profile, strict=True)), catalogue(kinds)).values())


def _await_sink(database: Warehouse, taken: Snapshot, reach: Reach, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while behind := warehouse.behind(database, reach):
        if time.monotonic() >= deadline:
            first = behind[0]
            raise WarehouseBehind(
                f"warehouse behind: snapshot {taken.snapshot_id} needs topic {first.topic!r} partition {first.part} "
                f"up to offset {first.needed}, loaded up to {first.has}"
                + (f" (and {len(behind) - 1} more)" if len(behind) > 1 else "")
                + ": run `segmenter sink --once`."
            )
        time.sleep(0.1)


def _is_relevant(gap: Gap, reach: Reach, counts: Mapping[int, Counts]) -> bool:
    """Whether the stream may have applied offsets of the gap: it did not begin after it, nor stop before."""
    at = gap.topic, gap.part
    begin = counts[gap.part].begins.get(gap.topic, 0) if gap.part in counts else 0
    return gap.end_pos > begin and gap.first_pos < max(reach.cuts.get(at, 0), reach.furthest.get(at, 0))
