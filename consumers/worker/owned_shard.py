"""One shard, as its owner holds it, and what its owner does to it.

When a write ends in any other way than being confirmed, the owner no longer knows the shard: it lets go of it and
takes it again. `Fenced` and `Unreachable` pass through here for that reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from segmenter import crash_points
from segmenter.errors import LogTruncated, RolledBack, Stolen, TopicRecreated
from segmenter.model.generation import Generation, digest
from segmenter.shards import judge
from segmenter.shards.batches import Piece
from segmenter.shards.duplicates import Seen
from segmenter.shards.row import Row
from segmenter.shards.state import Batch, ShardState
from segmenter.store.connection import Store
from segmenter.store.recount import recount
from segmenter.store.rows import read_rows
from segmenter.store.shards import commit, members, open_shard

_WITHOUT = (
    "Stop the workers and run `segmenter restore`, or do without the events before with `segmenter worker "
    "--from-log-start`."
)

log = structlog.get_logger()


class Superseded(Exception):
    """A newer generation is current: judge again by that one."""


@dataclass
class OwnedShard:
    """A shard this process may write, as it was after its last write."""

    number: int
    state: ShardState
    offsets: Mapping[str, int]
    """The next offset to apply, by topic."""
    seen: Seen
    unswept: list[bytes] | None = None
    """Users that the sweep has yet to look at; None before it has listed them."""
    quiet_until: float | None = None
    """Until then, by the monotonic clock, the owner writes nothing of its own accord; None if it may."""


def take(
    store: Store,
    number: int,
    topic_ids: Mapping[str, str],
    beginnings: Mapping[str, int],
    generation: Generation | None,
    from_log_start: bool = False,
) -> OwnedShard:
    """Become a shard's owner. One that Redis does not know begins where the log does; a dirty one is recounted first.

    Raises `TopicRecreated` when the stored offsets belong to other topics, and `LogTruncated` when Redis does not know
    the shard and the log no longer holds its first events, unless ``from_log_start`` does without them.
    """
    state = open_shard(store.client, store.settings, number)
    crash_points.passed("open")
    for topic, stored in state.topic_ids.items():
        if topic_ids.get(topic) != stored:
            found = topic_ids.get(topic, "missing")
            raise TopicRecreated(topic, stored, found)
    if state.offsets is None:
        _begin(store, number, beginnings, from_log_start)
    offsets = state.offsets or beginnings
    shard = OwnedShard(number, state, offsets, Seen(store.settings.duplicate_window, offsets))
    if state.dirty:
        log.warning("a commit failed half-way: the shard is recounted from its rows", shard=number)
        counted, changes = recount(store.client, store.settings, number, state)
        size = store.settings.commit_rows
        for first in range(0, max(1, len(changes)), size):
            last = first + size >= len(changes)
            after = shard.state._replace(census=counted, dirty=not last)
            write(store, shard, Batch([], changes[first : first + size], after), generation)
            crash_points.passed("recount")
    if state.offsets is None:
        after = shard.state._replace(offsets=dict(beginnings), topic_ids=dict(topic_ids))
        write(store, shard, Batch([], [], after), generation)
    return shard


def _begin(store: Store, number: int, beginnings: Mapping[str, int], from_log_start: bool) -> None:
    for topic, offset in beginnings.items():
        if offset and not from_log_start:
            but = f"begins at {offset}, and Redis knows nothing of the shard"
            raise LogTruncated(store.settings.topic_prefix + topic, number, 0, but, _WITHOUT)
    log.info("Redis knows nothing of the shard: it begins where the log does", shard=number, offsets=dict(beginnings))


def fold(store: Store, shard: OwnedShard, piece: Piece, generation: Generation | None) -> Sequence[Row]:
    """Apply a piece to the shard's rows, and return those that it changed."""
    users = list(piece.users)
    rows = dict(zip(users, read_rows(store.client, store.settings, users), strict=True))
    batch = judge.apply(piece, rows, shard.state, generation)
    crash_points.passed("fold")
    write(store, shard, batch, generation)
    shard.offsets = piece.offsets
    crash_points.passed("commit")
    return batch.rows


def needs_sweep(shard: OwnedShard, generation: Generation | None) -> bool:
    """Whether some of the shard's rows may have been judged by an older generation."""
    return generation is not None and shard.state.generation != generation.number


def sweep(store: Store, shard: OwnedShard, generation: Generation) -> None:
    """Judge the next few users by the present generation, and note when all have been."""
    if shard.unswept is None:
        slugs = list(shard.state.census)
        shard.unswept = [user for slug in slugs for user in members(store.client, store.settings, shard.number, slug)]
    users = shard.unswept[-store.settings.commit_rows :]
    del shard.unswept[-store.settings.commit_rows :]
    found = read_rows(store.client, store.settings, users)
    old = [row for row in found if row is not None and row.generation != generation.number]
    batch = judge.rejudge(old, shard.state, generation)
    if not shard.unswept:
        batch = batch._replace(after=batch.after._replace(generation=generation.number))
    write(store, shard, batch, generation)
    crash_points.passed("sweep")


def write(store: Store, shard: OwnedShard, batch: Batch, generation: Generation | None) -> None:
    """Commit a batch. Raises `Superseded`, `Stolen` and `RolledBack`, with nothing written."""
    judged_by = digest(generation) if generation else ""
    answer, after = commit(store.client, store.settings, shard.number, shard.state, batch, judged_by)
    if answer == "superseded":
        raise Superseded
    if answer == "stolen":
        raise Stolen(f"shard {shard.number} has another owner")
    if answer == "rolled back":
        raise RolledBack(f"Redis no longer has the last writes of shard {shard.number}")
    shard.state = after
