"""Repair: census, audiences, rows and counts of shards are made what they must be, while nobody else writes to them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple

from segmenter.errors import Corrupt, Fenced
from segmenter.events import shard_of
from segmenter.model.generation import Generation
from segmenter.model.profiles import Profile
from segmenter.operations.integrity.verify import Findings, Verification, examine, find_differences, summarize
from segmenter.operations.owners import ExclusiveShard, exclusive, with_living_owner, write
from segmenter.settings import Settings
from segmenter.shards.commits import repair_commit
from segmenter.shards.row import Basis, Row
from segmenter.shards.state import Commit, Counts, ShardState, encode_state
from segmenter.store.connection import Store
from segmenter.store.corruption import discard, last_change
from segmenter.store.meta import open_store
from segmenter.store.models import read_model
from segmenter.store.rows import read_stored_rows
from segmenter.store.shards import audiences, read_stored_shards

TRIES = 3
"""How often the repair of a shard is tried again when another process writes to it meanwhile."""


class Corrections(NamedTuple):
    """What only the events can tell of a shard."""

    bases: Mapping[bytes, Basis | None] = {}
    """The basis that the row of each user must have; None: the user must have no row."""
    counts: Counts | None = None
    """What the shard must have counted; None: what it has."""


class CountsCorrection(NamedTuple):
    """What a shard must have counted when it has applied all records below the cut, and none from there on."""

    folded: int
    duplicates: int
    begins: dict[str, int]
    """The first offset that is counted, by topic, where it is not 0."""
    cut: Mapping[str, int]
    """The next offset, by topic."""


class MovedOn(NamedTuple):
    """What was not repaired, since it no longer stands at the cut of its correction."""

    users: set[bytes]
    shards: set[int]
    """Those with other counts than they must have."""


class Correction(NamedTuple):
    """What a user must have when all events below the cut are in the row, and none from there on."""

    profile: Profile | None
    """None: no row, since there is no such event."""
    cut: Mapping[str, int]
    """The next offset, by topic."""


def verify_and_repair(settings: Settings) -> tuple[Verification, Verification]:
    """Verify the store, repair the shards that differ, and verify again; returns what was found before and after."""
    with open_store(settings, writing=True) as store:
        found = find_differences(store)
        before = summarize(found)
        if not before.differences:
            return before, before
        repair_shards(store, [number for number, each in found.items() if each.differences])
        return before, summarize(find_differences(store))


def repair_shards(
    store: Store,
    numbers: Collection[int],
    corrections_of: Callable[[ExclusiveShard], Corrections] = lambda shard: Corrections(),
) -> None:
    """Make census and audiences what the rows say, and rows what their profiles say; correct what the events tell.

    ``corrections_of`` gives that once nobody else writes to the shard. Without it, counts that differ from the rows
    stay as they are: they are the evidence that one of the two is wrong. What cannot be read is removed first. A parked
    shard goes on in the end. Raises `Fenced` or `Corrupt` when others write to a shard again and again.
    """
    remaining = set(numbers)
    for attempt in range(TRIES):
        try:
            _discard(store, remaining)
            with exclusive(store, remaining) as shards:
                found = examine(store, remaining)
                generation = read_model(store.client, store.settings)
                for number, shard in shards.items():
                    commits = _commits(store, shard, found[number], corrections_of(shard), generation)
                    write(store, shard, commits, generation)
                    remaining.discard(number)
            return
        except (Fenced, Corrupt):  # what an owner knew is lost when another one has parked the shard
            if attempt + 1 == TRIES:
                raise


def _discard(store: Store, numbers: Collection[int]) -> None:
    """Remove what cannot be read of shards, except what the next owner counts anew, or a living one knows."""
    slugs, stored = audiences(*store, numbers), read_stored_shards(*store)
    living = with_living_owner(store, numbers)
    for number in numbers:
        unreadable = stored[number].unreadable if number in stored else {}
        known = {"begun", "version"} | (encode_state(stored[number].state).keys() if number in living else set())
        lost = {field: value for field, value in unreadable.items() if field not in known}
        discard(*store, number, slugs[number], lost)


def repair_from_events(
    store: Store, users: Mapping[bytes, Correction], counts: Mapping[int, CountsCorrection]
) -> MovedOn:
    """Correct the rows of users and the counts of shards, and repair the shards; returns what has moved on.

    A row is corrected only if it is at the cut of the correction: it holds no event from there on, and its shard has
    applied all events before. Counts are corrected only if the shard stands at their cut. The others need a new
    comparison.
    """
    moved_on = MovedOn(set(), set())
    by_shard: dict[int, list[bytes]] = {number: [] for number in counts}
    for user in users:
        by_shard.setdefault(shard_of(user, store.settings.partitions), []).append(user)

    def corrections_of(shard: ExclusiveShard) -> Corrections:
        own = by_shard[shard.number]
        bases = _bases(store, shard, {user: users[user] for user in own})
        moved_on.users.difference_update(own)
        moved_on.users.update(set(own) - bases.keys())
        moved_on.shards.discard(shard.number)
        right = counts.get(shard.number)
        if right is None:
            return Corrections(bases)
        if right.cut != shard.state.offsets:
            moved_on.shards.add(shard.number)
            return Corrections(bases)
        dead_letters = shard.state.counts.dead_letters
        return Corrections(bases, Counts(right.folded, right.duplicates, dead_letters, right.begins))

    repair_shards(store, by_shard, corrections_of)
    return moved_on


def _bases(store: Store, shard: ExclusiveShard, corrections: Mapping[bytes, Correction]) -> dict[bytes, Basis | None]:
    """The correct basis of those users whose rows are at the cut of their correction."""
    stored = read_stored_rows(store.client, store.settings, list(corrections))
    correct: dict[bytes, Basis | None] = {}
    for user, (profile, cut) in corrections.items():
        basis = stored[user].basis if user in stored else None
        if not _is_at(basis, shard.state.offsets or {}, cut):
            continue
        offsets = basis.offsets if basis else _last_before(cut)
        correct[user] = None if profile is None else Basis(profile, offsets)
    return correct


def _commits(
    store: Store, shard: ExclusiveShard, found: Findings, corrections: Corrections, generation: Generation | None
) -> Iterator[Commit]:
    """First census and audiences by the rows as they are, then the correct rows; each commit leaves them consistent."""
    size = store.settings.commit_rows
    changes = found.changes
    after = shard.state._replace(counts=corrections.counts or _counts(shard.state, found))
    if not shard.owned:
        shard.state = shard.state._replace(feed=max(shard.state.feed, last_change(*store, shard.number)))
    for first in range(0, max(1, len(changes)), size):
        after = after._replace(census=found.check.census, space=found.state.space)
        if first + size >= len(changes):
            after = after.recounted()
        yield Commit([], changes[first : first + size], after)
    correct = {**found.check.wrong, **corrections.bases}
    rows = _rows(store, list(corrections.bases)) | found.check.wrong_rows
    users = list(correct)
    for first in range(0, len(users), size):
        some = {user: correct[user] for user in users[first : first + size]}
        kept = {user: basis for user, basis in some.items() if basis is not None}
        commit = repair_commit(
            kept, [user for user in some if user not in kept], rows, after, store.settings.kinds, generation
        )
        after = commit.after
        yield commit
    if shard.state.parked:
        yield Commit([], [], after._replace(parked=""))


def _counts(state: ShardState, found: Findings) -> Counts:
    """The counts of a shard; those that could not be read begin again with what the rows hold."""
    lost = state.counts == Counts() and not found.check.ahead
    return Counts(found.check.events) if lost else state.counts


def _rows(store: Store, users: list[bytes]) -> dict[bytes, Row | None]:
    stored = read_stored_rows(store.client, store.settings, users)
    return {user: stored[user].row if user in stored else None for user in users}


def _is_at(basis: Basis | None, next_offsets: Mapping[str, int], cut: Mapping[str, int]) -> bool:
    last = basis.offsets if basis else {}
    return all(last.get(topic, -1) < end <= next_offsets.get(topic, 0) for topic, end in cut.items())


def _last_before(cut: Mapping[str, int]) -> dict[str, int]:
    return {topic: end - 1 for topic, end in cut.items() if end > 0}
