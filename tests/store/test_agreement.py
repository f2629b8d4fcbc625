"""Kinds come into force, and features change, when all living owners know or want them, and not before."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import closing

import pytest
from redis import Redis

from segmenter.events import Rules
from segmenter.kinds import DEFAULT, Kind
from segmenter.operations.parts import ask_redis
from segmenter.settings import Settings
from segmenter.store.agreement import add_kinds, want_features
from segmenter.store.connection import connect
from segmenter.store.meta import claim, group_in_use
from segmenter.store.shards import acquire_shard, heartbeat, park_shard
from tests.loop.helpers import age_heartbeats

CARTS = Kind("add_to_cart", "carts", "carts", "amount")


@pytest.fixture
def client(settings: Settings) -> Iterator[Redis]:
    with closing(connect(settings)) as opened:
        yield opened


def own(client: Redis, settings: Settings, shard: int, knows: Settings | None) -> None:
    """Become the owner of a shard, and say what it knows; None says nothing, as version 0.1.0."""
    state = acquire_shard(client, settings, shard)
    assert heartbeat(client, settings, {shard: (state, None)}, None, knows) == {shard: "ok"}


@pytest.fixture
def new(client: Redis, settings: Settings) -> Settings:
    """The settings with carts, of a store without."""
    claim(client, settings, Rules.of(settings))
    return dataclasses.replace(settings, kinds=(*DEFAULT, CARTS))


@pytest.mark.parametrize("other", ["old", "silent"])
def test_a_kind_waits_until_every_living_owner_knows_it(
    client: Redis, settings: Settings, new: Settings, other: str
) -> None:
    group = group_in_use(client, settings)
    own(client, settings, 0, new)
    own(client, settings, 1, settings if other == "old" else None)
    assert add_kinds(client, new).kinds == settings.kinds
    own(client, settings, 1, new)
    acquire_shard(client, settings, 1)  # what the owner before has said does not count for the next one
    assert add_kinds(client, new).kinds == settings.kinds and group_in_use(client, settings) == group
    own(client, settings, 1, new)
    assert add_kinds(client, new).kinds == new.kinds and group_in_use(client, settings) == f"{group}.1"


def test_who_is_dead_is_not_waited_for(client: Redis, settings: Settings, new: Settings) -> None:
    own(client, settings, 1, settings)
    age_heartbeats(settings)
    own(client, settings, 0, new)
    assert add_kinds(client, new).kinds == new.kinds


def test_a_parked_shard_is_not_waited_for(client: Redis, settings: Settings, new: Settings) -> None:
    """Now and then an owner tries it again, and parks it again: each is another one, and writes nothing."""
    own(client, settings, 0, new)
    state = acquire_shard(client, settings, 1)
    assert add_kinds(client, new).kinds == settings.kinds
    assert park_shard(client, settings, 1, state.token, "a row cannot be read")
    acquire_shard(client, settings, 1)
    assert add_kinds(client, new).kinds == new.kinds


def test_status_says_for_whom_a_kind_waits(client: Redis, settings: Settings, new: Settings) -> None:
    """One who measures it otherwise does not know it: the two never agree."""
    counted = dataclasses.replace(settings, kinds=(*DEFAULT, Kind("add_to_cart", "carts", "carts")))
    assert ask_redis(settings).waiting == {}
    own(client, settings, 0, new)
    own(client, settings, 1, settings)
    assert ask_redis(settings).waiting == {"the kind add_to_cart (carts, amount)": [1]}
    own(client, settings, 1, counted)
    assert ask_redis(settings).waiting == {
        "the kind add_to_cart (carts, amount)": [1],
        "the kind add_to_cart (carts, none)": [0],
    }
    own(client, settings, 1, new)
    assert ask_redis(settings).waiting == {}


@pytest.mark.parametrize("other", [("total_views",), None])
def test_features_wait_until_every_living_owner_wants_them(
    client: Redis, settings: Settings, other: tuple[str, ...] | None
) -> None:
    wanted = dataclasses.replace(settings, features=("total_clicks",))
    own(client, settings, 0, wanted)
    own(client, settings, 1, None if other is None else dataclasses.replace(settings, features=other))
    assert not want_features(client, ("total_clicks",), settings)
    own(client, settings, 1, wanted)
    assert want_features(client, ("total_clicks",), settings)
