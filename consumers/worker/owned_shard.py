"""A shard as its owner sees it: acquiring, folding batches, sweeping, writing.

When a write is not confirmed, the owner no longer knows the state of the shard, and must acquire it again. So `Fenced`
and `Unreachable` pass through here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from segmenter import crash_points
from segmenter.errors import LogTruncated, OwnershipLost, RolledBack, TopicRecreated
from segmenter.model.generation import Generation, digest
from segmenter.shards import judge
from segmenter.shards.batches import Batch
from segmenter.shards.duplicates import DuplicateWindow
from segmenter.shards.row import Row
from segmenter.shards.state import Commit, Counts, ShardState
from segmenter.store.connection import Store
from segmenter.store.recount import recount
from segmenter.store.rows import read_rows
from segmenter.store.shards import acquire_shard, commit_shard, members
from segmenter.topics import RESTORE

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


def acquire(
    store: Store,
    number: int,
    topic_ids: Mapping[str, str],
    beginnings: Mapping[str, int],
    generation: Generation | None,
    key: bytes,
    seen: DuplicateWindow | None = None,
    from_log_start: bool = False,
) -> OwnedShard:
    """Become the owner of a shard. One that Redis does not know begins at offset 0; a dirty one is recounted.

    ``seen`` is what this process remembers of the shard and these very topics; it is used if the stored offsets fit.
    Else a new duplicate window begins, with ``key`` as its random key.

    Raises `TopicRecreated` when the stored offsets belong to other topics, and `LogTruncated` when the log no longer
    holds the next events of the shard, unless ``from_log_start`` leaves those out.
    """
    state = acquire_shard(store.client, store.settings, number)
    crash_points.reached("acquire")
    for topic, stored in state.topic_ids.items():
        if topic_ids.get(topic) != stored:
            raise TopicRecreated(topic, stored, topic_ids.get(topic, "missing"))
    offsets = _first_offsets(store, number, state, beginnings, from_log_start)
    if seen is None or not seen.reopen(offsets):
        seen = DuplicateWindow(store.settings.duplicate_window, offsets, key)
    shard = OwnedShard(number, state, offsets, seen)
    if state.dirty:
        log.warning("a commit failed half-way: recounting the shard from its rows", shard=number)
        counted, changes = recount(store.client, store.settings, number)
        size = store.settings.commit_rows
        for first in range(0, max(1, len(changes)), size):
            last = first + size >= len(changes)
            after = shard.state._replace(census=counted, dirty=not last)
            write(store, shard, Commit([], changes[first : first + size], after), generation)
            crash_points.reached("recount")
    if state.offsets != offsets:
        after = shard.state._replace(offsets=offsets, topic_ids=dict(topic_ids))
        if state.offsets is None:
            after = after._replace(counts=Counts(begins={topic: offset for topic, offset in offsets.items() if offset}))
        write(store, shard, Commit([], [], after), generation)
    return shard


def _first_offsets(
    store: Store, number: int, state: ShardState, beginnings: Mapping[str, int], from_log_start: bool
) -> dict[str, int]:
    """The next offsets to apply: those stored, 0 for a shard that Redis does not know, or later ``from_log_start``."""
    stored = state.offsets or dict.fromkeys(beginnings, 0)
    for topic, begin in beginnings.items():
        if stored[topic] >= begin:
            continue
        if not from_log_start:
            but = f"begins at {begin}" + ("" if state.offsets else ", and Redis knows nothing of the shard")
            raise LogTruncated(store.settings.topic_prefix + topic, number, stored[topic], but, RESTORE)
        log.warning("the log no longer holds these offsets", shard=number, topic=topic, first=stored[topic], end=begin)
    offsets = {topic: max(offset, beginnings[topic]) for topic, offset in stored.items()}
    if state.offsets is None:
        log.info("a new shard begins where the log does", shard=number, offsets=offsets)
    return offsets


def fold(store: Store, shard: OwnedShard, batch: Batch, generation: Generation | None) -> Sequence[Row]:
    """Fold a batch into the rows of the shard, and return the rows that it changed."""
    users = list(batch.users)
    rows = dict(zip(users, read_rows(store.client, store.settings, users), strict=True))
    commit = judge.apply(batch, rows, shard.state, generation)
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
    commit = judge.rejudge(old, shard.state, generation)
    if not shard.unswept:
        commit = commit._replace(after=commit.after._replace(generation=generation.number))
    write(store, shard, commit, generation)
    crash_points.reached("sweep")


def write(store: Store, shard: OwnedShard, commit: Commit, generation: Generation | None) -> None:
    """Make a commit. Raises `Superseded`, `OwnershipLost` and `RolledBack`, with nothing written."""
    judged_by = digest(generation) if generation else ""
    outcome, after = commit_shard(store.client, store.settings, shard.number, shard.state, commit, judged_by)
    if outcome == "superseded":
        raise Superseded
    if outcome == "not owner":
        raise OwnershipLost(f"shard {shard.number} has another owner")
    if outcome == "rolled back":
        raise RolledBack(f"Redis no longer has the last writes of shard {shard.number}")
    shard.state = after
