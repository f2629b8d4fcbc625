"""Acquiring a shard: becoming its owner, and finding out where to go on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import structlog

from consumers.worker.owned_shard import OwnedShard, unless_superseded, write
from segmenter import crash_points
from segmenter.errors import LogTruncated, TopicRecreated
from segmenter.model.generation import Generation, space_of
from segmenter.shards.duplicates import DuplicateWindow
from segmenter.shards.state import Commit, Counts, ShardState
from segmenter.store.connection import Store
from segmenter.store.recount import recount
from segmenter.store.shards import acquire_shard
from segmenter.topics import RESTORE

log = structlog.get_logger()


class Owner(NamedTuple):
    """A new owner: the token by which it is known, and the number of the group that assigned the shard to it."""

    token: str
    group_number: str


class ShardLog(NamedTuple):
    """The log of a shard: the ids of its topics, where it begins in each, and whether to leave out what it has lost."""

    topic_ids: Mapping[str, str]
    beginnings: Mapping[str, int]
    from_log_start: bool = False


def acquire(
    store: Store,
    number: int,
    owner: Owner,
    shard_log: ShardLog,
    generation: Generation | None,
    key: bytes,
    seen: DuplicateWindow | None = None,
) -> OwnedShard:
    """Become the owner of a shard.

    One that Redis does not know begins at offset 0; a dirty one is recounted.

    ``seen`` is what this process remembers of the shard and these very topics; it is used if the stored offsets fit.
    Else a new duplicate window begins, with ``key`` as its random key.

    Raises `Corrupt`; `TopicRecreated` when the stored offsets belong to other topics; and `LogTruncated` when the log
    no longer holds the next events of the shard, unless they are to be left out. Raises `OwnershipLost` when the
    workers have moved to another group.
    """
    state = acquire_shard(*store, number, owner.token, owner.group_number)._replace(parked="")
    crash_points.reached("acquire")
    for topic, stored in state.topic_ids.items():
        if shard_log.topic_ids.get(topic) != stored:
            raise TopicRecreated(topic, stored, shard_log.topic_ids.get(topic, "missing"))
    offsets = _first_offsets(store, number, state, shard_log)
    if seen is None or not seen.reopen(offsets):
        seen = DuplicateWindow(store.settings.duplicate_window, offsets, key)
    shard = OwnedShard(number, state, offsets, seen)
    if state.dirty:
        with unless_superseded(store, generation):
            _recount(store, shard, generation)
    if state.offsets != offsets:
        after = shard.state._replace(offsets=offsets, topic_ids=dict(shard_log.topic_ids))
        known = state.offsets or {}
        begins = {topic: offset for topic, offset in offsets.items() if offset and topic not in known}
        counts = Counts() if state.offsets is None else state.counts
        after = after._replace(counts=msgspec.structs.replace(counts, begins=counts.begins | begins))
        write(store, shard, Commit([], [], after), generation)
    return shard


def _first_offsets(store: Store, number: int, state: ShardState, shard_log: ShardLog) -> dict[str, int]:
    """The next offsets to apply: those stored, 0 for a shard that Redis does not know, or later ``from_log_start``.

    A topic whose kind was added begins where its log does.
    """
    beginnings = shard_log.beginnings
    stored = dict.fromkeys(beginnings, 0) | (state.offsets or {})
    for topic, begin in beginnings.items():
        if stored[topic] >= begin:
            continue
        is_added = state.offsets is not None and topic not in state.offsets
        if not shard_log.from_log_start and not is_added:
            but = f"begins at {begin}" + ("" if state.offsets else ", and Redis knows nothing of the shard")
            raise LogTruncated(store.settings.topic_prefix + topic, number, stored[topic], but, RESTORE)
        log.warning("the log no longer holds these offsets", shard=number, topic=topic, first=stored[topic], end=begin)
    offsets = {topic: max(offset, beginnings[topic]) for topic, offset in stored.items()}
    if state.offsets is None:
        log.info("a new shard begins where the log does", shard=number, offsets=offsets)
    return offsets


def _recount(store: Store, shard: OwnedShard, generation: Generation | None) -> None:
    log.warning("a commit was left half-way: recounting the shard from its rows", shard=shard.number)
    space = space_of(generation)  # rows may be in it already, and the state not yet
    counted, changes = recount(*store, shard.number, space)
    size = store.settings.commit_rows
    for first in range(0, max(1, len(changes)), size):
        after = shard.state._replace(census=counted, space=space)
        if first + size >= len(changes):
            after = after.recounted()
        write(store, shard, Commit([], changes[first : first + size], after), generation)
        crash_points.reached("recount")
