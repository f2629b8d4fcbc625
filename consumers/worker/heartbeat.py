"""The heartbeat: once a second the owner of shards confirms that they are as it left them, and how fresh they are."""

from __future__ import annotations

import structlog

from consumers.worker.membership import Membership
from consumers.worker.owned_shard import advance_offsets
from segmenter.errors import Corrupt, OwnershipLost, RolledBack, Unreachable
from segmenter.model.generation import Generation
from segmenter.settings import Settings
from segmenter.store.connection import Store, clock_ms
from segmenter.store.shards import heartbeat

log = structlog.get_logger()


def send_heartbeats(
    store: Store, membership: Membership, wanted: Settings, generation: Generation | None, need_end: bool
) -> None:
    """Confirm that each owned shard is as it was left, and up to when it holds all that the log held.

    ``wanted`` is what this worker is set up for. All that was polled must have been committed. A shard that is corrupt
    is parked. Raises `OwnershipLost`, `RolledBack` and `Superseded`; and `Unreachable`, if ``need_end`` and Kafka does
    not return the log's end.
    """
    for number, positions in membership.positions().items():
        if membership.shards[number].paused_until is None:
            with membership.parking(number):
                advance_offsets(store, membership.shards[number], positions, generation)
    asked_ms = clock_ms(store.client)  # before: both Kafka and Redis may take seconds to answer
    caught_up_ms = _caught_up_ms(membership, asked_ms, need_end)
    seen = {number: (shard.state, (caught_up_ms or {}).get(number)) for number, shard in membership.shards.items()}
    for number, outcome in heartbeat(*store, seen, None if caught_up_ms is None else asked_ms, wanted).items():
        if isinstance(outcome, Corrupt):
            membership.park(number, membership.shards[number].state.token, outcome)
        elif outcome != "ok":
            error = OwnershipLost if outcome == "not owner" else RolledBack
            raise error(f"shard {number} is no longer as it was left")
    membership.failures = 0


def _caught_up_ms(membership: Membership, asked_ms: int, need_end: bool) -> dict[int, int] | None:
    """Up to when owned shards hold all that their log did, as news at ``asked_ms``; None if Kafka was not heard."""
    try:
        return membership.caught_up_ms(asked_ms)
    except Unreachable as reason:
        if need_end:
            raise
        log.warning("Kafka does not say where the log ends", reason=str(reason))
        return None
