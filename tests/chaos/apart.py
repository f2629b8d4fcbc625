"""Ways to break the promise on purpose, to show that the chaos finds out. They run inside a `doomed` worker."""

from __future__ import annotations

from typing import Any

from consumers.worker import owned_shard
from segmenter.shards.state import encode_offsets
from segmenter.store import shards
from segmenter.store.keys import Keys


def offsets_apart() -> None:
    """Write the next offsets first, and all else in a call of its own: a crash between the two loses events."""

    def commit_shard(client: Any, settings: Any, number: int, before: Any, commit: Any, *others: Any) -> Any:
        ahead = before._replace(offsets=commit.after.offsets)
        key = Keys(settings.key_prefix).shard(number)
        if client.hmget(key, "token", "version") == [before.token.encode(), str(before.version).encode()]:
            client.hset(key, "offsets", encode_offsets(ahead.offsets))
        return shards.commit_shard(client, settings, number, ahead, commit, *others)

    owned_shard.commit_shard = commit_shard


BREAKS = {"offsets-apart": offsets_apart}
"""By the name that ``--break`` takes."""
