"""The beat: once a second the owner of shards says that they are as it left them, and how fresh they are."""

from __future__ import annotations

import time

import structlog

from consumers.worker.membership import Holding
from segmenter.errors import RolledBack, Stolen, Unreachable
from segmenter.store.connection import Store
from segmenter.store.shards import beat

log = structlog.get_logger()


def say_fresh(store: Store, holding: Holding, must_know: bool) -> None:
    """Confirm that each held shard is as it was left, and since when it is at the end of the log.

    Raises `Stolen` and `RolledBack`; and `Unreachable`, if it ``must_know`` where the log ends and cannot.
    """
    asked = time.monotonic()
    at_end = _at_end(holding, must_know)
    asked_ms = None if at_end is None else int((time.monotonic() - asked) * 1000)
    seen = {number: (shard.state, number in (at_end or ())) for number, shard in holding.shards.items()}
    for number, answer in beat(store.client, store.settings, seen, asked_ms).items():
        if answer != "ok":
            raise (Stolen if answer == "stolen" else RolledBack)(f"shard {number} is no longer as it was left")
    holding.failures = 0


def _at_end(holding: Holding, must_know: bool) -> set[int] | None:
    """Which held shards were read to the end of the log; None if the log does not answer."""
    try:
        return holding.at_end()
    except Unreachable as reason:
        if must_know:
            raise
        log.warning("cannot tell where the log ends", reason=str(reason))
        return None
