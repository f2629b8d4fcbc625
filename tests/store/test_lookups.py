"""What a lookup answers, and how fresh it says that this is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import product

import pytest
from redis import Redis

from segmenter.client import SegmentClient
from segmenter.events import Rules
from segmenter.events.sharding import shard_of
from segmenter.model.generation import Generation, Segment, digest
from segmenter.settings import Settings
from segmenter.shards.row import Row
from segmenter.shards.state import Change, Commit
from segmenter.store.connection import clock_ms, connect
from segmenter.store.keys import Keys
from segmenter.store.meta import claim
from segmenter.store.models import publish
from segmenter.store.shards import acquire_shard, commit_shard
from tests.defaults import NAMES
from tests.loop.helpers import set_clock_ahead

MINUTE_MS = 60_000
SHARDS = 3
"""Another number than the default, which the clients of these tests have."""

USERS = [f"u{number}" for number in range(30)]


@pytest.fixture
def store(settings: Settings) -> Iterator[tuple[Redis, Settings]]:
    """An empty store of so many shards, and its settings."""
    of_store = replace(settings, partitions=SHARDS)
    with closing(connect(of_store)) as client:
        claim(client, of_store, Rules.of(of_store))
        yield client, of_store


def asking(settings: Settings, **others: int) -> SegmentClient:
    """A client that knows where the store is, and nothing else of it."""
    return SegmentClient(settings.redis_url, key_prefix=settings.key_prefix, **others)


AGES = [None, 0, 4, 6, 1_440]
"""In minutes; None for never."""


def test_a_lookup_is_stale_when_its_worker_is_silent_or_behind(
    store: tuple[Redis, Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For longer than it may; its age is the time since the shard was at the end of the log, by the clock of Redis."""
    client, settings = store
    set_clock_ahead(monkeypatch)
    key = Keys(settings.key_prefix).shard(shard_of(b"u1", SHARDS))
    with asking(settings, stale_after_ms=5 * MINUTE_MS) as asked:
        for beat, caught_up in product(AGES, AGES):
            client.delete(key)
            began = clock_ms(client)
            ages = {"beat_ms": beat, "caught_up_ms": caught_up}
            times = {name: began - age * MINUTE_MS for name, age in ages.items() if age is not None}
            client.hset(key, mapping={"token": "t", **times})
            answer = asked.lookup("u1")
            took = clock_ms(client) - began
            if beat is None or caught_up is None:
                assert (answer.age_ms, answer.stale) == (None, True)
            else:
                assert answer.stale == (not {6, 1_440}.isdisjoint((beat, caught_up))), ages
                assert answer.age_ms is not None and 0 <= answer.age_ms - caught_up * MINUTE_MS <= took, ages


def test_a_lookup_is_as_fresh_as_the_shard_of_its_user(store: tuple[Redis, Settings]) -> None:
    """The store says how many shards there are, whatever number the client has."""
    client, settings = store
    began = clock_ms(client)
    for shard in range(SHARDS):
        times = {"beat_ms": began, "caught_up_ms": began - shard * MINUTE_MS}
        client.hset(Keys(settings.key_prefix).shard(shard), mapping={"token": "t", **times})
    for own in (1, 2, SHARDS, 4):
        with asking(settings, partitions=own, stale_after_ms=MINUTE_MS // 2) as asked:
            together = asked.lookup_many(USERS)
            alone = [asked.lookup(user) for user in USERS]
        for answers in (together, alone):
            shards = [shard_of(user.encode(), SHARDS) for user in USERS]
            assert [answer.user for answer in answers] == USERS
            assert [(answer.age_ms or 0) // MINUTE_MS for answer in answers] == shards
            assert [answer.stale for answer in answers] == [shard > 0 for shard in shards]


def test_a_lookup_answers_what_the_row_of_the_user_says(store: tuple[Redis, Settings]) -> None:
    """Every field of it, in the order in which users were asked for; a segment goes by its name for people, too."""
    client, settings = store
    point = (0.0, 0.0, 0.0, 0.0)
    model = Generation(
        number=7, cause="bootstrap", features=NAMES, features_since=1, centres=(point, point),
        segments=(Segment(0, "low", "Seldom here"), Segment(1, "high", "Always here")),
        scale=(1.0, 1.0, 1.0, 1.0), fill=point, population=1, fitted_population=1, created_ms=0,
    )  # fmt: skip
    assert publish(client, settings, model, None)
    profiles = {"u1": (5, 4, 1_000, 3, 2, 0, 0, 11, 22), "u2": (0, 0, 0, 0, 9, 8, 4_000, 33, 44)}
    rows = {
        "u1": Row(b"u1", "high", 7, profiles["u1"], {"clickstream": 41, "searches": 42}, (1, 1, 1, -1)),
        "u2": Row(b"u2", "low", 6, profiles["u2"], {"views": 43}, (0, 0, -1, 1)),
    }
    for user, row in rows.items():
        shard = shard_of(user.encode(), SHARDS)
        state = acquire_shard(client, settings, shard)
        commit = Commit([row], [Change(row.user, None, row.segment, "behaviour")], state)
        assert commit_shard(client, settings, shard, state, commit, digest(model))[0] == "ok"
    with asking(settings) as asked:
        second, nobody, first = asked.lookup_many(["u2", "nobody", "u1"])
    names = ("clicks", "clicks_timed", "click_ms", "searches", "views", "views_timed", "view_ms", "first_ms", "last_ms")
    assert (first.user, first.segment, first.name, first.generation) == ("u1", "high", "Always here", 7)
    assert first.aggregates == dict(zip(names, profiles["u1"], strict=True))
    assert first.offsets == {"clickstream": 41, "searches": 42}
    assert first.features == {
        "total_clicks": 5, "total_searches": 3, "total_views": 2, "mean_click_ms": 250.0, "mean_view_ms": None,
    }  # fmt: skip
    assert (second.user, second.segment, second.name, second.generation) == ("u2", "low", "Seldom here", 6)
    assert second.aggregates == dict(zip(names, profiles["u2"], strict=True))
    assert second.offsets == {"views": 43}
    assert second.features == {
        "total_clicks": 0, "total_searches": 0, "total_views": 9, "mean_click_ms": None, "mean_view_ms": 500.0,
    }  # fmt: skip
    assert (nobody.user, nobody.segment, nobody.name, nobody.generation) == ("nobody", "unknown", "Unknown", 0)
    assert (nobody.aggregates, nobody.features, nobody.offsets) == ({}, {}, {})


def test_a_client_that_was_there_before_the_store_learns_how_many_shards_it_has(settings: Settings) -> None:
    """What it answered before, by its own setting, binds it to nothing."""
    of_store = replace(settings, partitions=SHARDS)
    with closing(connect(of_store)) as client, asking(settings, partitions=7) as asked:
        assert all((answer.segment, answer.stale) == ("unknown", True) for answer in asked.lookup_many(USERS))
        claim(client, of_store, Rules.of(of_store))
        began = clock_ms(client)
        for shard in range(SHARDS):
            times = {"beat_ms": began, "caught_up_ms": began - shard * MINUTE_MS}
            client.hset(Keys(of_store.key_prefix).shard(shard), mapping={"token": "t", **times})
        ages = [answer.age_ms for answer in asked.lookup_many(USERS)]
    assert [-1 if age is None else age // MINUTE_MS for age in ages] == [shard_of(u.encode(), SHARDS) for u in USERS]


@pytest.mark.parametrize("spoilt", ["beat_ms", "caught_up_ms", "key"])
def test_users_of_a_shard_that_cannot_be_read_are_answered_and_stale(
    store: tuple[Redis, Settings], spoilt: str
) -> None:
    """Their rows are as they were, and nobody can tell how old they are; users of other shards are fresh."""
    client, settings = store
    keys, began = Keys(settings.key_prefix), clock_ms(client)
    for shard in range(SHARDS):
        client.hset(keys.shard(shard), mapping={"token": "t", "beat_ms": began, "caught_up_ms": began})
    if spoilt == "key":
        client.set(keys.shard(1), "a string")
    else:
        client.hset(keys.shard(1), spoilt, "soon")
    with asking(settings, stale_after_ms=5 * MINUTE_MS) as asked:
        answers = asked.lookup_many(USERS)
    ill = [shard_of(user.encode(), SHARDS) == 1 for user in USERS]
    assert [answer.stale for answer in answers] == ill and [answer.age_ms is None for answer in answers] == ill


def test_text_that_is_no_id_is_unknown(store: tuple[Redis, Settings]) -> None:
    """Half of a character cannot be the id of a user; the others of the call are answered."""
    with asking(store[1]) as asked:
        answers = asked.lookup_many(["\ud800", "", "u1", "u\udfff"])
    assert [(answer.user, answer.segment) for answer in answers] == [
        (user, "unknown") for user in ("\ud800", "", "u1", "u\udfff")
    ]


def test_a_client_that_is_closed_holds_no_connection(
    store: tuple[Redis, Settings], until: Callable[[Callable[[], object]], None]
) -> None:
    """Also after an error within the block."""
    client, settings = store
    name = f"client-of-{settings.key_prefix}"
    named = f"{settings.redis_url}{'&' if '?' in settings.redis_url else '?'}client_name={name}"

    def connections() -> int:
        return sum(each["name"] == name for each in client.client_list())

    asked = SegmentClient(named, key_prefix=settings.key_prefix)
    with pytest.raises(ZeroDivisionError), asked:
        asked.lookup("u1")
        assert connections() == 1
        raise ZeroDivisionError
    until(lambda: connections() == 0)
