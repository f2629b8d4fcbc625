"""Putting shards right: what follows from the rows, and rows that are known to be wrong."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from consumers import judging
from consumers.asking import Taken, taken, write
from consumers.integrity import Findings, examine
from consumers.shard import Store
from segmenter.errors import Fenced
from segmenter.generation import Generation
from segmenter.store.models import read_model
from segmenter.store.raw import Essence, read_found
from segmenter.store.rows import Row
from segmenter.store.shards import Batch

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
        batch = judging.put_right(there, [user for user in some if user not in there], rows, after, generation)
        after = batch.after
        yield batch


def _rows(store: Store, users: list[bytes]) -> dict[bytes, Row | None]:
    there = read_found(store.client, store.settings, users)
    return {user: there[user].row if user in there else None for user in users}
