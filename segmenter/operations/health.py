"""What is wrong with a running system, by its status."""

from __future__ import annotations

from collections.abc import Iterator

from segmenter.operations.status import ShardStatus, Status
from segmenter.settings import Settings

STUCK_AFTER_MS = 60_000
"""A shard that for so long has neither been at the end of the log nor had a commit is stuck."""


def problems(status: Status, settings: Settings) -> Iterator[str]:
    """One line for each part that is away, and for each shard that is parked or stuck."""
    for away in status.unreachable.values():
        yield away.reason
    if "redis" in status.unreachable:
        return
    shards = {shard.shard: shard for shard in status.shards}
    for number in range(settings.partitions):
        shard = shards.get(number)
        if shard and shard.parked:
            yield f"shard {number} is parked: {shard.parked}"
        elif reason := _stuck(shard, settings.stale_after_ms):
            yield f"shard {number} is stuck: {reason}"


def _stuck(shard: ShardStatus | None, stale_after_ms: int) -> str | None:
    if shard is None or shard.beat_age_ms is None:
        return "no worker has acquired it. Start `segmenter worker`."
    silent_ms = min(age for age in (shard.beat_age_ms, shard.commit_age_ms) if age is not None)
    if silent_ms > stale_after_ms:
        return f"its worker has been silent for {silent_ms / 1_000:,.0f} s. Is one running?"
    moved = [age for age in (shard.age_ms, shard.commit_age_ms) if age is not None]
    if not moved or min(moved) > STUCK_AFTER_MS:
        since = f"for {min(moved) / 1_000:,.0f} s" if moved else "ever"
        return f"it has not committed or been at the end of the log {since}. The worker's log says why."
    return None
