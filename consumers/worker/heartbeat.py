"""The heartbeat: once a second the owner of shards confirms that they are as it left them, and how fresh they are."""

from __future__ import annotations

import time

import structlog

from consumers.worker.membership import Membership
from consumers.worker.owned_shard import advance_offsets
from segmenter.errors import Corrupt, OwnershipLost, RolledBack, Unreachable
from segmenter.model.generation import Generation
from segmenter.store.connection import Store
from segmenter.store.shards import heartbeat

log = structlog.get_logger()


def send_heartbeats(store: Store, membership: Membership, generation: Generation | None, need_end: bool) -> None:
    """Confirm that each owned shard is as it was left, and up to when it holds all that the log held.

    All that was polled must have been committed. A shard that is corrupt is parked. Raises `OwnershipLost`,
    `RolledBack` and `Superseded`; and `Unreachable`, if ``need_end`` and Kafka does not return the log's end.
    """
    for number, positions in membership.positions().items():
        if membership.shards[number].paused_until is None:
            with membership.parking(number):
                advance_offsets(store, membership.shards[number], positions, generation)
    asked = time.monotonic()
    ages_ms = _ages_ms(membership, need_end)
    asked_ms = None if ages_ms is None else int((time.monotonic() - asked) * 1000)
    seen = {number: (shard.state, (ages_ms or {}).get(number)) for number, shard in membership.shards.items()}
    for number, outcome in heartbeat(store.client, store.settings, seen, asked_ms).items():
        if isinstance(outcome, Corrupt):
            membership.park(number, membership.shards[number].state.token, outcome)
        elif outcome != "ok":
            error = OwnershipLost if outcome == "not owner" else RolledBack
            raise error(f"shard {number} is no longer as it was left")
    membership.failures = 0


def _ages_ms(membership: Membership, need_end: bool) -> dict[int, int] | None:
    """How many ms ago the log of owned shards held no more than was read; None if Kafka does not answer."""
    try:
        return membership.ages_ms()
    except Unreachable as reason:
        if need_end:
            raise
        log.warning("Kafka does not say where the log ends", reason=str(reason))
        return None
