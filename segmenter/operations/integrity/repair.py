"""Putting shards right: what follows from the rows, and rows that are known to be wrong."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple

from segmenter.errors import Fenced
from segmenter.events import shard_of
from segmenter.model.generation import Generation
from segmenter.model.profiles import Profile
from segmenter.operations.integrity.verify import Findings, examine
from segmenter.operations.owners import Taken, taken, write
from segmenter.shards import judge
from segmenter.shards.row import Row
from segmenter.shards.state import Batch
from segmenter.store.connection import Store
from segmenter.store.models import read_model
from segmenter.store.rows import Essence, read_found

TRIES = 3
"""How often a shard is mended to which somebody writes meanwhile."""

Right = Mapping[bytes, Essence | None]
"""What users should have; None: nothing."""


def mend(store: Store, numbers: Collection[int], right_of: Callable[[Taken], Right] = lambda shard: {}) -> None:
    """Put right some shards, to which nobody else writes meanwhile: what follows from rows, and the rows of some users.

    ``right_of`` tells these once the shard stands still. Raises `Fenced` when a shard does not.
    """
    left = set(numbers)
    for attempt in range(TRIES):
        try:
            with taken(store, left) as shards:
                found = examine(store, left)
                generation = read_model(store.client, store.settings)
                for number, shard in shards.items():
                    write(store, shard, _batches(store, shard, found[number], right_of(shard), generation), generation)
                    left.discard(number)
            return
        except Fenced:
            if attempt + 1 == TRIES:
                raise


def _batches(
    store: Store, shard: Taken, found: Findings, known: Right, generation: Generation | None
) -> Iterator[Batch]:
    """First census and audiences as the rows are, then the rows as they should be. Each batch leaves what fits."""
    size = store.settings.commit_rows
    changes = found.changes
    after = shard.state
    for first in range(0, max(1, len(changes)), size):
        dirty = shard.state.dirty and first + size < len(changes)
        after = after._replace(census=found.counted.census, dirty=dirty)
        yield Batch([], changes[first : first + size], after)
    right = {**found.counted.wrong, **known}
    rows = _rows(store, list(known)) | found.counted.wrong_rows
    users = list(right)
    for first in range(0, len(users), size):
        some = {user: right[user] for user in users[first : first + size]}
        there = {user: essence for user, essence in some.items() if essence is not None}
        batch = judge.put_right(there, [user for user in some if user not in there], rows, after, generation)
        after = batch.after
        yield batch


def _rows(store: Store, users: list[bytes]) -> dict[bytes, Row | None]:
    there = read_found(store.client, store.settings, users)
    return {user: there[user].row if user in there else None for user in users}


class Wanted(NamedTuple):
    """What a user should have once all events below the cut are in, and none from there on."""

    profile: Profile | None
    """None: nothing, since there is no such event."""
    cut: Mapping[str, int]
    """By topic."""


def put_right(store: Store, wanted: Mapping[bytes, Wanted]) -> set[bytes]:
    """Put users right, and what follows from the rows of their shards, too; return those who had moved on.

    A row is replaced while nobody else writes to its shard, and only if it stands at the cut: no event from there on
    is in it, and the shard has applied all before. Else it is for another look to tell what would be right.
    """
    moved_on: set[bytes] = set()
    by_shard: dict[int, list[bytes]] = {}
    for user in wanted:
        by_shard.setdefault(shard_of(user, store.settings.partitions), []).append(user)

    def right_of(shard: Taken) -> Right:
        users = by_shard[shard.number]
        found = read_found(store.client, store.settings, users)
        right: dict[bytes, Essence | None] = {}
        moved_on.difference_update(users)
        for user in users:
            essence = found[user].essence if user in found else None
            profile, cut = wanted[user]
            if not _stands(essence, shard.state.offsets or {}, cut):
                moved_on.add(user)
            elif profile is None:
                right[user] = None
            else:
                right[user] = Essence(profile, essence.offsets if essence else _last_before(cut))
        return right

    mend(store, by_shard, right_of)
    return moved_on


def _stands(essence: Essence | None, next_offsets: Mapping[str, int], cut: Mapping[str, int]) -> bool:
    last = essence.offsets if essence else {}
    return all(last.get(topic, -1) < end <= next_offsets.get(topic, 0) for topic, end in cut.items())


def _last_before(cut: Mapping[str, int]) -> dict[str, int]:
    return {topic: end - 1 for topic, end in cut.items() if end > 0}
