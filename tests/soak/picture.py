"""What Redis holds at a moment when nobody writes, read key by key, without any code of the product."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import redis

TRIES, PAUSE_SECONDS = 100, 0.1
AT_ONCE = 1_000


class Picture(NamedTuple):
    """All keys of a store, and what they hold: hashes of text, sets, streams."""

    keys: list[str]
    """Every key, without the prefix."""
    rows: dict[str, dict[str, str]]
    audiences: dict[tuple[int, str], set[str]]
    shards: dict[int, dict[str, str]]
    feeds: dict[int, list[dict[str, str]]]
    model: dict[str, str]

    @property
    def generation(self) -> dict[str, Any]:
        """The current generation; empty before the first."""
        found: dict[str, Any] = json.loads(self.model.get(self.model.get("current", ""), "{}"))
        return found

    def of_shards(self, field: str) -> dict[int, Any]:
        """A field of each shard that is JSON."""
        return {number: json.loads(fields[field]) for number, fields in self.shards.items()}


def take(url: str, prefix: str) -> Picture:
    """The keys under a prefix. It is taken again if somebody writes meanwhile."""
    client = redis.Redis.from_url(url, decode_responses=True)
    try:
        for _ in range(TRIES):
            before = _writes(client, prefix)
            picture = _take(client, prefix)
            if _writes(client, prefix) == before:
                return picture
            time.sleep(PAUSE_SECONDS)
    finally:
        client.close()
    raise TimeoutError(f"shards were written to in each of {TRIES} looks")


def _writes(client: redis.Redis, prefix: str) -> list[Any]:
    """How many writes each shard has had, and which generation is current."""
    names = sorted(client.scan_iter(f"{prefix}:shard:*", count=AT_ONCE))
    return [
        client.hget(f"{prefix}:model", "digest"),
        *[client.hmget(name, "token", "version", "begun") for name in names],
    ]


def _take(client: redis.Redis, prefix: str) -> Picture:
    keys = sorted({name.removeprefix(f"{prefix}:") for name in client.scan_iter(f"{prefix}:*", count=AT_ONCE)})
    parts = [key.split(":") for key in keys]
    users = [":".join(rest) for kind, *rest in parts if kind == "user"]
    shards = [int(rest[0]) for kind, *rest in parts if kind == "shard"]
    feeds = [int(rest[0]) for kind, *rest in parts if kind == "feed"]
    audiences = [(int(rest[0]), rest[1]) for kind, *rest in parts if kind == "audience"]
    return Picture(
        keys,
        dict(zip(users, _hashes(client, [f"{prefix}:user:{user}" for user in users]), strict=True)),
        {(shard, slug): client.smembers(f"{prefix}:audience:{shard}:{slug}") for shard, slug in audiences},
        dict(zip(shards, _hashes(client, [f"{prefix}:shard:{shard}" for shard in shards]), strict=True)),
        {shard: [fields for _, fields in client.xrange(f"{prefix}:feed:{shard}")] for shard in feeds},
        client.hgetall(f"{prefix}:model"),
    )


def _hashes(client: redis.Redis, keys: Iterable[str]) -> list[dict[str, str]]:
    asked, found = list(keys), []
    for first in range(0, len(asked), AT_ONCE):
        pipeline = client.pipeline(transaction=False)
        for key in asked[first : first + AT_ONCE]:
            pipeline.hgetall(key)
        found += pipeline.execute()
    return found
