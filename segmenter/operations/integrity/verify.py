"""Whether what is kept beside the rows of a shard is what the rows say, and what the store amounts to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import NamedTuple

from segmenter.errors import Fenced
from segmenter.events.sharding import shard_of
from segmenter.operations.integrity.differences import Difference, audience_differences, census_differences
from segmenter.operations.integrity.row_checks import Counted, add
from segmenter.operations.owners import alive, quiet
from segmenter.shards.state import Change, Counts, ShardState
from segmenter.store.connection import Store
from segmenter.store.models import kept_generations, read_model
from segmenter.store.recount import audience_changes
from segmenter.store.rows import Found, read_found, scan_users
from segmenter.store.shards import audiences, members, read_shards

TRIES = 3
"""How often a shard is looked at that somebody writes to although it was asked to be quiet."""

NEVER_OPENED = ShardState("", 0, False, None, {}, {}, Counts(), 0, 0, 0, 0)


class Findings(NamedTuple):
    """What is wrong with one shard, and what its rows say."""

    state: ShardState
    counted: Counted
    changes: list[Change]
    """Those that make the audiences fit."""
    differences: list[Difference]

    @property
    def users(self) -> int:
        """How many users have a row."""
        return len(self.counted.segments.keys() | self.counted.wrong.keys())


def check(store: Store) -> dict[int, Findings]:
    """What is wrong with each shard, exactly: shards that move meanwhile are looked at again, while they are quiet.

    Raises `Fenced` when a shard is never quiet.
    """
    found = _still(store, set(range(store.settings.partitions)))
    for _ in range(TRIES):
        missing = set(range(store.settings.partitions)) - found.keys()
        if not missing:
            return dict(sorted(found.items()))
        with suppress(Fenced), quiet(store, alive(store, missing)):
            found |= _still(store, missing)
    raise Fenced(f"shards {sorted(missing)} were written to whenever they were looked at: try again later")


def _still(store: Store, numbers: Collection[int]) -> dict[int, Findings]:
    """The findings of those shards to which nobody has written meanwhile."""
    found = examine(store, numbers)
    now = read_shards(store.client, store.settings)
    return {
        number: each
        for number, each in found.items()
        if (state := now.get(number, NEVER_OPENED)).version == each.state.version and state.token == each.state.token
    }


def examine(store: Store, numbers: Collection[int]) -> dict[int, Findings]:
    """Compare the rows of some shards with what is kept beside them; exact for those to which nobody writes."""
    client, settings = store
    model, generations = read_model(client, settings), kept_generations(client, settings)
    current = model.number if model else 0
    known = read_shards(client, settings)
    states = {number: known.get(number, NEVER_OPENED) for number in numbers}
    counted = {number: Counted() for number in numbers}
    for users in scan_users(client, settings):
        own: dict[int, list[bytes]] = {}
        for user in users:
            own.setdefault(shard_of(user, settings.partitions), []).append(user)
        found = read_found(client, settings, [user for number in own.keys() & states for user in own[number]])
        for number in own.keys() & states:
            rows = {user: found.get(user, Found(None, None)) for user in own[number]}
            add(counted[number], number, rows, states[number], generations, current)
    slugs = audiences(client, settings, states)
    return {
        number: _compared(
            number,
            states[number],
            counted[number],
            {slug: set(members(client, settings, number, slug)) for slug in slugs[number]},
        )
        for number in states
    }


def _compared(number: int, state: ShardState, counted: Counted, stored: Mapping[str, set[bytes]]) -> Findings:
    differences = [Difference(number, "shard", "", "dirty", "true", "false")] if state.dirty else []
    differences += census_differences(number, state.census, counted.census)
    differences += audience_differences(number, stored, counted.segments)
    differences += counted.differences
    if counted.events != state.counts.folded and not counted.ahead:
        differences.append(Difference(number, "counts", "", "folded", state.counts.folded, counted.events))
    return Findings(state, counted, audience_changes(stored, counted.segments), differences)
