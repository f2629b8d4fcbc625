"""Agreement: kinds and features change when all living owners of shards know the new ones.

Each owner says with its heartbeat what it is set up for. One of version 0.1.0 says nothing, and knows nothing new. A
shard without a living owner does not matter: the next one asks what is in force before it acquires. Nor does a parked
one, whose owner writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from segmenter.errors import Corrupt, Fenced
from segmenter.events import Rules
from segmenter.kinds import Kind
from segmenter.settings import Settings
from segmenter.shards.state import Known
from segmenter.store.connection import Redis, Store, clock_ms
from segmenter.store.meta import agreed_rules, decode_rules, encoded_rules, in_force, replace_rules
from segmenter.store.shards import StoredShard, read_stored_shards

Owners = Mapping[int, Known | None]
"""What the living owner of each shard knows, None for one that does not say, or has only just acquired it."""


def check_kinds(store: Store) -> None:
    """Raise `Fenced` if other kinds are in force than when the store was opened: what was read may be misread."""
    encoded = encoded_rules(*store)
    if encoded and decode_rules(store.settings, encoded).kinds != store.settings.kinds:
        raise Fenced("kinds of events were added meanwhile: run this again")


@contextmanager
def unless_kinds_added(store: Store) -> Iterator[None]:
    """Raise what `check_kinds` does after a block, or instead of a `Corrupt` in it: rows may have more kinds."""
    try:
        yield
    except Corrupt:
        check_kinds(store)
        raise
    check_kinds(store)


def add_kinds(client: Redis, wanted: Settings) -> Settings:
    """Put the kinds of ``wanted`` in force that are not yet, if all living owners know them; returns what is in force.

    The workers then move to another group, so that each begins anew, with the topics of all kinds. Raises `RulesDiffer`
    if one is in force that ``wanted`` lacks.
    """
    before = encoded_rules(client, wanted)
    if before is None:
        return wanted
    rules = agreed_rules(wanted, before, Rules.of(wanted))
    missing = [kind for kind in wanted.kinds if kind not in rules.kinds]
    if missing and all(known and set(missing) <= set(known.kinds) for known in owners_of(client, wanted).values()):
        more = Rules.of(wanted)
        if replace_rules(client, wanted, before, more, regroup=True):
            rules = more
    return in_force(wanted, rules)


def want_features(client: Redis, wanted: tuple[str, ...], settings: Settings) -> bool:
    """Whether all living owners want users to be judged by these features."""
    return all(known and known.features == wanted for known in owners_of(client, settings).values())


def owners_of(client: Redis, settings: Settings) -> Owners:
    """The `living_owners` now."""
    now_ms = clock_ms(client)
    return living_owners(read_stored_shards(client, settings), now_ms, settings.stale_after_ms)


def living_owners(shards: Mapping[int, StoredShard], now_ms: int, stale_after_ms: int) -> Owners:
    """The owners that have been heard of within ``stale_after_ms``."""
    states = {number: stored.state for number, stored in shards.items() if not stored.state.parked}
    return {
        number: state.known if state.known and state.known.token == state.token else None
        for number, state in states.items()
        if now_ms - max(state.beat_ms, state.acquired_ms) <= stale_after_ms
    }


def waiting(owners: Owners, kinds: tuple[Kind, ...], features: tuple[str, ...]) -> dict[str, list[int]]:
    """What some owners know or want beyond these kinds and features, and the shards whose owners do not."""
    said = [known for known in owners.values() if known]
    found = {
        f"the kind {kind.name} ({kind.plural}, {kind.measure})": [
            number for number, known in owners.items() if not known or kind not in known.kinds
        ]
        for known in said
        for kind in known.kinds
        if kind not in kinds
    }
    for wanted in {known.features for known in said if features and known.features != features}:
        others = [number for number, known in owners.items() if not known or known.features != wanted]
        found[f"judging by {', '.join(wanted)}"] = others
    return {what: sorted(numbers) for what, numbers in sorted(found.items()) if numbers}
