"""Verification: whether census, audiences and counts of each shard are what its rows say."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import NamedTuple

from segmenter.errors import Fenced
from segmenter.events.sharding import shard_of
from segmenter.model.generation import Generation, space_of
from segmenter.operations.integrity.differences import Difference, audience_differences, census_differences
from segmenter.operations.integrity.row_checks import RowCheck, add
from segmenter.operations.owners import paused, with_living_owner
from segmenter.settings import Settings
from segmenter.shards.state import UNKNOWN_SHARD, Change, ShardState
from segmenter.store.agreement import check_kinds
from segmenter.store.connection import Store
from segmenter.store.corruption import mistyped
from segmenter.store.keys import Keys
from segmenter.store.meta import open_store
from segmenter.store.models import kept_generations, read_model
from segmenter.store.recount import audience_changes
from segmenter.store.rows import StoredRow, read_stored_rows, scan_users
from segmenter.store.shards import StoredShard, audiences, members, read_stored_shards

TRIES = 3
"""How often a shard is examined again that is written to although it is paused."""


class Findings(NamedTuple):
    """What is wrong with one shard, and what its rows add up to."""

    state: ShardState
    check: RowCheck
    changes: list[Change]
    """The changes that make the audiences fit."""
    differences: list[Difference]

    @property
    def users(self) -> int:
        """The number of users with a row."""
        return len(self.check.segments.keys() | self.check.wrong.keys())


class Verification(NamedTuple):
    """What a look at all shards has found."""

    shards: int
    users: int
    differences: list[Difference]


def verify(settings: Settings) -> Verification:
    """Compare census, audiences and counts of every shard with its rows, and each row with its own profile, exactly.

    Whether the rows are what the events say is for `segmenter.operations.reconcile` to tell. Raises `Fenced` when a
    shard cannot be paused.
    """
    with open_store(settings) as store:
        return summarize(find_differences(store))


def summarize(found: Mapping[int, Findings]) -> Verification:
    """The findings of all shards together."""
    differences = [difference for each in found.values() for difference in each.differences]
    return Verification(len(found), sum(each.users for each in found.values()), differences)


def find_differences(store: Store) -> dict[int, Findings]:
    """What is wrong with each shard. A shard that is written to meanwhile is paused, and examined again.

    Raises `Fenced` when a shard is written to nevertheless.
    """
    found = _unchanged(store, set(range(store.settings.partitions)))
    for _ in range(TRIES):
        missing = set(range(store.settings.partitions)) - found.keys()
        if not missing:
            return dict(sorted(found.items()))
        with suppress(Fenced), paused(store, with_living_owner(store, missing)):
            found |= _unchanged(store, missing)
    check_kinds(store)
    raise Fenced(f"shards {sorted(missing)} were written to whenever they were examined: try again later")


def _unchanged(store: Store, numbers: Collection[int]) -> dict[int, Findings]:
    """The findings of those shards to which nobody has written meanwhile."""
    found = examine(store, numbers)
    now = {number: stored.state for number, stored in read_stored_shards(*store).items()}
    return {
        number: each
        for number, each in found.items()
        if (state := now.get(number, UNKNOWN_SHARD)).version == each.state.version and state.token == each.state.token
    }


def examine(store: Store, numbers: Collection[int]) -> dict[int, Findings]:
    """Compare some shards with their rows; exact for those to which nobody writes meanwhile. Raises `Fenced`."""
    client, settings = store
    model, generations = read_model(client, settings), kept_generations(client, settings)
    current = model.number if model else 0
    known = read_stored_shards(client, settings)
    stored = {number: known.get(number, StoredShard(UNKNOWN_SHARD, None, {})) for number in numbers}
    states = {number: _in_some_space(shard, model) for number, shard in stored.items()}
    check = {number: RowCheck() for number in numbers}
    for users in scan_users(client, settings):
        own: dict[int, list[bytes]] = {}
        for user in users:
            own.setdefault(shard_of(user, settings.partitions), []).append(user)
        found = read_stored_rows(client, settings, [user for number in own.keys() & states for user in own[number]])
        for number in own.keys() & states:
            rows = {user: found.get(user, StoredRow(None, None)) for user in own[number]}
            add(check[number], number, rows, states[number], settings.kinds, generations, current)
    check_kinds(store)  # else a row with a kind that was added would seem unreadable
    slugs = audiences(client, settings, states)
    wrong_types = mistyped(client, settings, slugs)
    keys = Keys(settings.key_prefix)
    return {
        number: _compare(
            number,
            stored[number]._replace(state=states[number]),
            wrong_types[number],
            check[number],
            {
                slug: set(members(client, settings, number, slug))
                for slug in slugs[number]
                if keys.audience(number, slug) not in wrong_types[number]
            },
        )
        for number in states
    }


def _in_some_space(shard: StoredShard, model: Generation | None) -> ShardState:
    """The state of a shard; if nobody knows what its rows are made of, the features of the model serve as well."""
    unknown = shard.state.dirty or "space" in shard.unreadable
    return shard.state.counted_in(space_of(model)) if unknown else shard.state


def _compare(
    number: int,
    shard: StoredShard,
    wrong_types: Mapping[str, tuple[str, str]],
    check: RowCheck,
    stored: Mapping[str, set[bytes]],
) -> Findings:
    state = shard.state
    differences = [Difference(number, "key", key, "type", *types) for key, types in wrong_types.items()]
    differences += [Difference(number, "shard", "", field, "unreadable", None) for field in shard.unreadable]
    if state.parked:
        differences.append(Difference(number, "shard", "", "parked", state.parked, ""))
    if state.dirty:
        differences.append(Difference(number, "shard", "", "dirty", "true", "false"))
    differences += census_differences(number, state.census, check.census, state.space.features)
    differences += audience_differences(number, stored, check.segments)
    differences += check.differences
    if check.events != state.counts.folded and not check.ahead:
        differences.append(Difference(number, "counts", "", "folded", state.counts.folded, check.events))
    return Findings(state, check, audience_changes(stored, check.segments), differences)
