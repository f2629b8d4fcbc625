"""Ways to break, by hand, what a store holds."""

from __future__ import annotations

from typing import Any

import msgspec

from segmenter.events.sharding import shard_of
from segmenter.model import vectors
from segmenter.settings import Settings
from segmenter.store.keys import Keys
from segmenter.store.rows import read_rows

SLUG = "highly_engaged"


class Spoiler:
    """Breaks one thing at a time, about one user."""

    def __init__(self, client: Any, settings: Settings, user: bytes) -> None:
        self._client, self._settings, self.user = client, settings, user
        self._keys = Keys(settings.key_prefix)
        self._shard = shard_of(user, settings.partitions)
        (row,) = read_rows(client, settings, [user])
        assert row is not None
        self.row = row

    def census(self) -> str:
        """One number of the census is one too many."""
        key = self._keys.shard(self._shard)
        census = msgspec.json.decode(self._client.hget(key, "census"))
        census[SLUG][0] += 1
        self._client.hset(key, "census", msgspec.json.encode(census))
        return f"shard {self._shard}: census {SLUG} users is {census[SLUG][0]}, should be {census[SLUG][0] - 1}"

    def added_member(self) -> str:
        """Somebody is in an audience who does not exist."""
        self._client.sadd(self._keys.audience(self._shard, SLUG), b"nobody")
        return f"shard {self._shard}: audience {SLUG} nobody is in it, should be not in it"

    def removed_member(self) -> str:
        """The user is not in the audience of their segment."""
        self._client.srem(self._keys.audience(self._shard, self.row.segment), self.user)
        return f"shard {self._shard}: audience {self.row.segment} {self.user.decode()} is not in it, should be in it"

    def deleted_audience(self) -> str:
        """A whole audience is gone."""
        self._client.delete(self._keys.audience(self._shard, self.row.segment))
        return f"shard {self._shard}: audience {self.row.segment} {self.user.decode()} is not in it, should be in it"

    def unknown_audience(self) -> str:
        """There is an audience of a segment that nobody has ever been in."""
        self._client.sadd(self._keys.audience(self._shard, "old:fans"), self.user)
        return f"shard {self._shard}: audience old:fans {self.user.decode()} is in it, should be not in it"

    def vector(self) -> str:
        """The vector is not what the profile gives."""
        stored = (1, *self.row.vector[1:])
        self._client.hset(self._keys.user(self.user), "vector", vectors.encode(stored))
        right = vectors.encode(self.row.vector)
        return f"shard {self._shard}: row {self.user.decode()} vector is {vectors.encode(stored)}, should be {right}"

    def segment(self) -> str:
        """The segment is not what the generation gives to the vector."""
        self._client.hset(self._keys.user(self.user), "segment", "elsewhere")
        return f"shard {self._shard}: row {self.user.decode()} segment is elsewhere, should be {self.row.segment}"

    def generation(self) -> str:
        """The row is of a generation from before the last sweep."""
        self._client.hset(self._keys.user(self.user), "generation", 0)
        right = self.row.generation
        return f"shard {self._shard}: row {self.user.decode()} generation is 0, should be {right}"

    def future_generation(self) -> str:
        """The row is of a generation that does not exist yet."""
        self._client.hset(self._keys.user(self.user), "generation", self.row.generation + 1)
        found, right = self.row.generation + 1, self.row.generation
        return f"shard {self._shard}: row {self.user.decode()} generation is {found}, should be {right}"

    def garbled(self) -> str:
        """The vector is not a vector."""
        self._client.hset(self._keys.user(self.user), "vector", "?")
        return f"shard {self._shard}: row {self.user.decode()} is incomplete, should be unknown"

    def dirty(self) -> str:
        """A script failed half-way."""
        self._client.hincrby(self._keys.shard(self._shard), "begun", 1)
        return f"shard {self._shard}: shard dirty is true, should be false"

    def profile(self) -> str:
        """The profile holds a thousand events too many; only the count of all shows it."""
        profile = msgspec.json.decode(self._client.hget(self._keys.user(self.user), "profile"))
        profile["views"] += 1_000
        self._client.hset(self._keys.user(self.user), "profile", msgspec.json.encode(profile))
        return f"shard {self._shard}: counts folded"

    def counts(self) -> str:
        """The shard says that it has folded 7 events more than it has."""
        key = self._keys.shard(self._shard)
        counts = msgspec.json.decode(self._client.hget(key, "counts"))
        counts["folded"] += 7
        self._client.hset(key, "counts", msgspec.json.encode(counts))
        return f"shard {self._shard}: counts folded is {counts['folded']:,}, should be "

    def deleted_row(self) -> str:
        """The user is gone."""
        self._client.delete(self._keys.user(self.user))
        return f"shard {self._shard}: counts folded"

    def torn_row(self) -> str:
        """The user's row has lost its profile."""
        self._client.hdel(self._keys.user(self.user), "profile")
        return f"shard {self._shard}: row {self.user.decode()} is incomplete, should be unknown"

    def other_type(self) -> str:
        """The user's key is not a hash."""
        self._client.set(self._keys.user(self.user), "no hash")
        return f"shard {self._shard}: row {self.user.decode()} is incomplete, should be unknown"

    def invented_row(self) -> str:
        """There is a user without any event."""
        other = next(f"ghost{n}".encode() for n in range(99) if self._at_home(f"ghost{n}".encode()))
        self._client.copy(self._keys.user(self.user), self._keys.user(other))
        return f"shard {self._shard}: audience {self.row.segment} {other.decode()} is not in it, should be in it"

    def _at_home(self, user: bytes) -> bool:
        return shard_of(user, self._settings.partitions) == self._shard


FOLLOWING = (
    "census", "added_member", "removed_member", "deleted_audience", "unknown_audience", "vector", "segment",
    "generation", "future_generation", "garbled", "dirty",
)  # fmt: skip
"""What `segmenter verify --repair` repairs: it follows from the profiles."""

LOST = ("profile", "deleted_row", "torn_row", "other_type", "invented_row", "counts")
"""What only the events can show."""
