"""The beat: once a second the owner of shards says that they are as it left them, and how fresh they are."""

from __future__ import annotations

import time

import structlog

from consumers.holding import Holding
from consumers.shard import Store
from segmenter.errors import RolledBack, Stolen, Unreachable
from segmenter.store.shards import beat

log = structlog.get_logger()


def say_fresh(store: Store, holding: Holding, must_know: bool) -> None:
    """Confirm that each held shard is as it was left, and since when it is at the end of the log.

    Raises `Stolen` and `RolledBack`; and `Unreachable`, if it ``must_know`` where the log ends and cannot.
    """
    fresh = _fresh(holding, must_know)
    seen = {shard.number: (shard.state, fresh[shard.number]) for shard in holding.shards.values()}
    for number, answer in beat(store.client, store.settings, seen).items():
        if answer != "ok":
            raise (Stolen if answer == "stolen" else RolledBack)(f"shard {number} is no longer as it was left")
    holding.failures = 0


def _fresh(holding: Holding, must_know: bool) -> dict[int, int | None]:
    """For each held shard, how many ms ago it was read to the end of the log; None if it is behind."""
    asked = time.monotonic()
    try:
        at_end = holding.at_end()
    except Unreachable as reason:
        if must_know:
            raise
        log.warning("cannot tell where the log ends", reason=str(reason))
        at_end = set()
    age_ms = int((time.monotonic() - asked) * 1000)
    return {number: age_ms if number in at_end else None for number in holding.shards}
