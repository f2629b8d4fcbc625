"""The recount: what the census and the audiences of a shard must be, from its rows alone."""

from __future__ import annotations

from collections.abc import Mapping

from segmenter.events.sharding import shard_of
from segmenter.model.census import Census, moved
from segmenter.model.generation import Space
from segmenter.settings import Settings
from segmenter.shards.commits import counted
from segmenter.shards.state import Change
from segmenter.store.connection import Redis
from segmenter.store.rows import read_rows, scan_users
from segmenter.store.shards import audiences, members


def recount(client: Redis, settings: Settings, shard: int, space: Space) -> tuple[Census, list[Change]]:
    """The census of a shard's rows in a space, and the changes that make its audiences fit them.

    Raises `Corrupt` for a row of the shard that cannot be read.
    """
    census: Census = {}
    right: dict[bytes, str] = {}
    for users in scan_users(client, settings):
        own = [user for user in users if shard_of(user, settings.partitions) == shard]
        rows = [row for row in read_rows(client, settings, own) if row is not None]
        if rows:
            vectors = counted(rows, space)
            census = moved(census, vectors[:0], [], vectors, [row.segment for row in rows])
            right |= {row.user: row.segment for row in rows}
    found = {slug: set(members(client, settings, shard, slug)) for slug in audiences(client, settings, [shard])[shard]}
    return census, audience_changes(found, right)


def audience_changes(found: Mapping[str, set[bytes]], right: Mapping[bytes, str]) -> list[Change]:
    """The changes that make audiences, by slug, fit the segments of the users."""
    leave = [Change(user, slug, None, "recount") for slug in found for user in found[slug] if right.get(user) != slug]
    join = [Change(user, None, slug, "recount") for user, slug in right.items() if user not in found.get(slug, ())]
    return leave + join
