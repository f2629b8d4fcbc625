"""A shard as its owner sees it: folding batches, sweeping, writing.

When a write is not confirmed, the owner no longer knows the state of the shard, and must acquire it again. So `Fenced`,
`Unreachable` and `Corrupt` pass through here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from segmenter import crash_points
from segmenter.errors import Corrupt, OwnershipLost, RolledBack
from segmenter.events import shown
from segmenter.model.generation import Generation, digest
from segmenter.shards.batches import Batch
from segmenter.shards.commits import batch_commit, sweep_commit
from segmenter.shards.duplicates import DuplicateWindow
from segmenter.shards.row import Row
from segmenter.shards.state import Commit, ShardState
from segmenter.store.connection import Store
from segmenter.store.models import read_model
from segmenter.store.rows import read_rows
from segmenter.store.shards import Outcome, commit_shard, heartbeat, members

log = structlog.get_logger()


class Superseded(Exception):
    """A newer generation is current: judge again by it."""


@dataclass
class OwnedShard:
    """A shard that this process may write to, as it was after the last write."""

    number: int
    state: ShardState
    offsets: Mapping[str, int]
    """The next offset to apply, by topic."""
    seen: DuplicateWindow
    unswept: list[bytes] | None = None
    """The users still to be swept; None before the sweep has listed them."""
    paused_until: float | None = None
    """Until then, by the monotonic clock, the owner writes only what commands ask; None if it is not paused."""


@contextmanager
def unless_superseded(store: Store, generation: Generation | None) -> Iterator[None]:
    """Raise `Superseded` instead of `Corrupt` if another generation is current: rows may be judged by it already."""
    try:
        yield
    except Corrupt:
        current = read_model(*store)
        if (current and digest(current)) != (generation and digest(generation)):
            raise Superseded from None
        raise


def fold(store: Store, shard: OwnedShard, batch: Batch, generation: Generation | None) -> Sequence[Row]:
    """Fold a batch into the rows of the shard, and return the rows that it changed."""
    users = list(batch.users)
    rows = dict(zip(users, read_rows(store.client, store.settings, users), strict=True))
    with unless_superseded(store, generation):
        commit = batch_commit(batch, rows, shard.state, store.settings.kinds, generation)
        crash_points.reached("fold")
        write(store, shard, commit, generation)
    shard.offsets = batch.offsets
    crash_points.reached("commit")
    return commit.rows


def advance_offsets(
    store: Store, shard: OwnedShard, positions: Mapping[str, int], generation: Generation | None
) -> None:
    """Move the offsets to the positions of the consumer: between them are control records, and aborted ones."""
    offsets = {topic: max(offset, positions[topic]) for topic, offset in shard.offsets.items()}
    if offsets != shard.offsets:
        write(store, shard, Commit([], [], shard.state._replace(offsets=offsets)), generation)
        shard.offsets = offsets


def needs_sweep(shard: OwnedShard, generation: Generation | None) -> bool:
    """Whether rows of the shard may still be judged by an older generation."""
    return generation is not None and shard.state.generation != generation.number


def sweep(store: Store, shard: OwnedShard, generation: Generation) -> None:
    """Judge the next few users by this generation, and set it as the shard's when all have been judged."""
    if shard.unswept is None:
        slugs = list(shard.state.census)
        shard.unswept = [user for slug in slugs for user in members(store.client, store.settings, shard.number, slug)]
    users = shard.unswept[-store.settings.commit_rows :]
    del shard.unswept[-store.settings.commit_rows :]
    found = read_rows(store.client, store.settings, users)
    old = [row for row in found if row is not None and row.generation != generation.number]
    with unless_superseded(store, generation):
        commit = sweep_commit(old, shard.state, store.settings.kinds, generation)
        if not shard.unswept:
            commit = commit._replace(after=commit.after._replace(generation=generation.number))
        write(store, shard, commit, generation)
    crash_points.reached("sweep")


def write(
    store: Store,
    shard: OwnedShard,
    commit: Commit,
    generation: Generation | None,
    stored_offsets: bytes | None = None,
) -> None:
    """Make a commit. Raises `Superseded`, `OwnershipLost`, `RolledBack` and `Corrupt`.

    Nothing is written then, unless the script met a key of another type half-way, and marked the shard dirty.
    """
    _check_census(store, shard, commit)
    judged_by = digest(generation) if generation else ""
    outcome, after = commit_shard(*store, shard.number, shard.state, commit, judged_by, stored_offsets)
    _check(shard, outcome)
    shard.state = after


def _check_census(store: Store, shard: OwnedShard, commit: Commit) -> None:
    """Raise `Corrupt` if a commit would leave a census that no users add up to, though the shard is as it was left."""
    for slug, tally in commit.after.census.items():
        if not tally.is_possible():
            state = {shard.number: (shard.state, None)}
            _check(shard, heartbeat(store.client, store.settings, state, None)[shard.number])
            user = next((shown(change.user) for change in commit.changes if change.before == slug), "unknown")
            of = f"user {user} in segment {shown(slug.encode())}"
            raise Corrupt(f"the census of shard {shard.number} does not count {of}")


def _check(shard: OwnedShard, outcome: Outcome | Corrupt) -> None:
    if isinstance(outcome, Corrupt):
        raise outcome
    if outcome == "superseded":
        raise Superseded
    if outcome == "not owner":
        raise OwnershipLost(f"shard {shard.number} has another owner")
    if outcome == "rolled back":
        raise RolledBack(f"Redis no longer has the last writes of shard {shard.number}")
