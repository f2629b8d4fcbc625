"""Giving users the row that they should have at a cut, if their row still stands there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from consumers.asking import Taken
from consumers.mending import Right, mend
from consumers.shard import Store
from segmenter.profiles import Profile
from segmenter.shards import shard_of
from segmenter.store.raw import Essence, read_found


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
