"""Parking: a shard that is corrupt in Redis is left alone until it is repaired."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

import structlog

from segmenter.errors import Corrupt, OwnershipLost
from segmenter.store.connection import Store
from segmenter.store.shards import park_shard, parked_owners

PARKED_SECONDS = 10.0
"""How often to try a parked shard again: it may have been repaired by hand."""

REPAIR_SECONDS = 300.0
"""How much longer to wait if another process has acquired it, perhaps for a repair."""

log = structlog.get_logger()


class Parked(NamedTuple):
    """A shard that is parked: why, as which owner, and when to try it again, by the monotonic clock."""

    reason: Corrupt
    token: str
    retry_at: float


def park(store: Store, number: int, token: str, reason: Corrupt) -> Parked:
    """Mark a shard as parked in Redis, as the owner ``token``. Raises `OwnershipLost`."""
    with suppress(Corrupt):  # a key of another type shows it by itself
        if not park_shard(*store, number, token, str(reason)):
            raise OwnershipLost(f"shard {number} has another owner")
    log.error("shard parked", shard=number, reason=str(reason))
    return Parked(reason, token, time.monotonic() + PARKED_SECONDS)


def still_parked(store: Store, parked: Mapping[int, Parked]) -> dict[int, Parked]:
    """Those that stay parked: Redis says so, and they are not due to be tried again."""
    owners = parked_owners(*store, parked) if parked else {}
    now = time.monotonic()

    def is_due(number: int, each: Parked) -> bool:
        return now >= each.retry_at + (0.0 if owners[number] == each.token.encode() else REPAIR_SECONDS)

    return {number: each for number, each in parked.items() if number in owners and not is_due(number, each)}
