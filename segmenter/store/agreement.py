"""Agreement: kinds and features change when all living owners of shards know the new ones.

Each owner says with its heartbeat what it is set up for. One of version 0.1.0 says nothing, and knows nothing new. A
shard without a living owner does not matter: the next one asks what is in force before it acquires.
"""

from __future__ import annotations

from segmenter.errors import Fenced
from segmenter.events import Rules
from segmenter.settings import Settings
from segmenter.shards.state import Known
from segmenter.store.connection import Redis, Store, clock_ms
from segmenter.store.meta import agreed_rules, decode_rules, encoded_rules, in_force, replace_rules
from segmenter.store.shards import read_stored_shards


def check_kinds(store: Store) -> None:
    """Raise `Fenced` if other kinds are in force than when the store was opened: what was read may be misread."""
    encoded = encoded_rules(*store)
    if encoded and decode_rules(store.settings, encoded).kinds != store.settings.kinds:
        raise Fenced("kinds of events were added meanwhile: run this again")


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
    if missing and all(known and set(missing) <= set(known.kinds) for known in living(client, wanted)):
        more = Rules.of(wanted)
        if replace_rules(client, wanted, before, more, regroup=True):
            rules = more
    return in_force(wanted, rules)


def want_features(client: Redis, wanted: tuple[str, ...], settings: Settings) -> bool:
    """Whether all living owners want users to be judged by these features."""
    return all(known and known.features == wanted for known in living(client, settings))


def living(client: Redis, settings: Settings) -> list[Known | None]:
    """What each living owner knows, None for one that does not say, or has only just acquired its shard."""
    now_ms, states = clock_ms(client), [stored.state for stored in read_stored_shards(client, settings).values()]
    alive = [state for state in states if now_ms - max(state.beat_ms, state.acquired_ms) <= settings.stale_after_ms]
    return [state.known if state.known and state.known.token == state.token else None for state in alive]
