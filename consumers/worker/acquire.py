"""Acquiring a shard: becoming its owner, and finding out where to go on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import structlog

from consumers.worker.owned_shard import OwnedShard, write
from segmenter import crash_points
from segmenter.errors import LogTruncated, TopicRecreated
from segmenter.model.generation import Generation
from segmenter.shards.duplicates import DuplicateWindow
from segmenter.shards.state import Commit, Counts, ShardState
from segmenter.store.connection import Store
from segmenter.store.recount import recount
from segmenter.store.shards import acquire_shard
from segmenter.topics import RESTORE

log = structlog.get_logger()


class ShardLog(NamedTuple):
    """The log of a shard: the ids of its topics, where it begins in each, and whether to leave out what it has lost."""

    topic_ids: Mapping[str, str]
    beginnings: Mapping[str, int]
    from_log_start: bool = False


def acquire(
    store: Store,
    number: int,
    token: str,
    shard_log: ShardLog,
    generation: Generation | None,
    key: bytes,
    seen: DuplicateWindow | None = None,
) -> OwnedShard:
    """Become the owner of a shard, as ``token``.

    One that Redis does not know begins at offset 0; a dirty one is recounted.

    ``seen`` is what this process remembers of the shard and these very topics; it is used if the stored offsets fit.
    Else a new duplicate window begins, with ``key`` as its random key.

    Raises `Corrupt`; `TopicRecreated` when the stored offsets belong to other topics; and `LogTruncated` when the log
    no longer holds the next events of the shard, unless they are to be left out.
    """
    state = acquire_shard(store.client, store.settings, number, token)._replace(parked="")
    crash_points.reached("acquire")
    for topic, stored in state.topic_ids.items():
        if shard_log.topic_ids.get(topic) != stored:
            raise TopicRecreated(topic, stored, shard_log.topic_ids.get(topic, "missing"))
    offsets = _first_offsets(store, number, state, shard_log)
    if seen is None or not seen.reopen(offsets):
        seen = DuplicateWindow(store.settings.duplicate_window, offsets, key)
    shard = OwnedShard(number, state, offsets, seen)
    if state.dirty:
        _recount(store, shard, generation)
    if state.offsets != offsets:
        after = shard.state._replace(offsets=offsets, topic_ids=dict(shard_log.topic_ids))
        if state.offsets is None:
            after = after._replace(counts=Counts(begins={topic: offset for topic, offset in offsets.items() if offset}))
        write(store, shard, Commit([], [], after), generation)
    return shard


def _first_offsets(store: Store, number: int, state: ShardState, shard_log: ShardLog) -> dict[str, int]:
    """The next offsets to apply: those stored, 0 for a shard that Redis does not know, or later ``from_log_start``."""
    beginnings = shard_log.beginnings
    stored = state.offsets or dict.fromkeys(beginnings, 0)
    for topic, begin in beginnings.items():
        if stored[topic] >= begin:
            continue
        if not shard_log.from_log_start:
            but = f"begins at {begin}" + ("" if state.offsets else ", and Redis knows nothing of the shard")
            raise LogTruncated(store.settings.topic_prefix + topic, number, stored[topic], but, RESTORE)
        log.warning("the log no longer holds these offsets", shard=number, topic=topic, first=stored[topic], end=begin)
    offsets = {topic: max(offset, beginnings[topic]) for topic, offset in stored.items()}
    if state.offsets is None:
        log.info("a new shard begins where the log does", shard=number, offsets=offsets)
    return offsets


def _recount(store: Store, shard: OwnedShard, generation: Generation | None) -> None:
    log.warning("a commit was left half-way: recounting the shard from its rows", shard=shard.number)
    counted, changes = recount(*store, shard.number, shard.state.space)
    size = store.settings.commit_rows
    for first in range(0, max(1, len(changes)), size):
        after = shard.state._replace(census=counted)
        if first + size >= len(changes):
            after = after.recounted()
        write(store, shard, Commit([], changes[first : first + size], after), generation)
        crash_points.reached("recount")
