"""Users come to be judged by other features while events arrive and lookups go on."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from contextlib import closing

import numpy as np
import pytest

from consumers import worker
from consumers.trainer.refit import refit, rename
from consumers.worker.owned_shard import sweep
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter.client import SegmentClient
from segmenter.kinds import DEFAULT_FEATURES, Feature, catalogue, pick
from segmenter.model.generation import Generation
from segmenter.model.vectors import fixed
from segmenter.operations import snapshot
from segmenter.operations.integrity.verify import verify
from segmenter.operations.parts import ask_redis
from segmenter.operations.restore import restore
from segmenter.operations.segments.live import read_segments
from segmenter.settings import Settings
from segmenter.store.connection import Store, connect
from segmenter.store.models import read_model
from segmenter.store.rows import read_rows
from segmenter.store.shards import read_shards
from tests.kinds.plainly import profiles_of
from tests.loop.helpers import age_heartbeats, in_background, rows
from tests.loop.population import own
from tests.threads import Threads

Until = Callable[[Callable[[], object]], None]
BY_VALUE = ("total_purchases", "total_purchase_amount")
USERS = 400


@pytest.fixture
def shop(settings: Settings) -> Settings:
    """A shop whose users are judged by what they look at."""
    return dataclasses.replace(settings, kinds=pick(["click", "view", "search", "purchase"]), commit_rows=40)


def by_value(settings: Settings) -> Settings:
    return dataclasses.replace(settings, features=BY_VALUE)


def model(settings: Settings) -> Generation:
    """The current generation."""
    with closing(connect(settings)) as client:
        found = read_model(client, settings)
    assert found is not None
    return found


def settled(settings: Settings) -> bool:
    """Whether all rows are judged by the current generation."""
    with closing(connect(settings)) as client:
        numbers = {state.generation for state in read_shards(client, settings).values()}
    return numbers == {model(settings).number}


def expected_vectors(settings: Settings, names: tuple[str, ...], sent: list) -> dict[bytes, tuple[int, ...]]:  # type: ignore[type-arg]
    """Each user's vector, from the published messages alone."""
    known = {feature.name: feature for feature in catalogue(settings.kinds)}
    profiles = profiles_of(sent, settings.kinds)
    values = np.array([[_value(known[name], profile) for name in names] for profile in profiles.values()])
    return dict(zip(profiles, map(tuple, fixed(values).tolist()), strict=True))


def _value(feature: Feature, profile: dict[str, int]) -> float:
    number = profile[feature.numerator]
    if feature.denominator is None:
        return number
    return number / profile[feature.denominator] if profile[feature.denominator] else np.nan


@pytest.mark.timeout(240)
def test_the_features_change_while_events_arrive(shop: Settings, until: Until) -> None:
    """All along, every user is found in a segment; in the end all vectors are of the new features, and all adds up."""
    sent = list(generate(16_000, USERS, seed=5, kinds=shop.kinds))
    publish(shop, sent[:8_000])
    worker.run(shop, once=True)
    before = model(shop)
    assert before.features == DEFAULT_FEATURES
    rename(shop, "highly_engaged", "Fans", 1)
    users = [row.user.decode() for row in rows(shop).values()]
    changed = by_value(shop)
    given = {name: getattr(shop, name) for name in ("kafka", "key_prefix", "topic_prefix", "group", "partitions")}
    seen: Counter[tuple[int, bool]] = Counter()

    def look(stopping: Callable[[], bool]) -> None:
        with SegmentClient(shop.redis_url, **given) as client:
            while not stopping():
                for answer in client.lookup_many(users):
                    seen[answer.generation, answer.segment in before.slugs] += 1

    with in_background(look), Threads() as pool:
        stop: list[bool] = []
        running = pool.submit(worker.run, changed, False, True, lambda n: None, lambda: bool(stop))
        try:
            for first in range(8_000, 16_000, 400):
                publish(shop, sent[first : first + 400])
            until(lambda: model(shop).features == BY_VALUE and settled(shop))
            until(lambda: sum(sum(r.profile[i] for i in (0, 3, 4, 7)) for r in rows(shop).values()) == len(sent))
            until(lambda: settled(shop))
        finally:
            stop.append(True)
        running.result()
    assert verify(changed).differences == []
    expected = expected_vectors(shop, BY_VALUE, sent)
    assert {row.user: row.vector for row in rows(shop).values()} == expected
    assert all(found for _, found in seen) and {number for number, _ in seen} >= {before.number + 1}
    after = model(shop)
    assert {segment.id for segment in after.segments} == {segment.id for segment in before.segments}
    assert "Fans" in {segment.name for segment in after.segments}
    assert sum(row.users for row in read_segments(shop).segments) == len(expected)


def test_all_workers_must_want_it(shop: Settings, until: Until) -> None:
    """While one still wants the old features, nothing changes; and nothing goes to and fro."""
    publish(shop, generate(4_000, USERS, seed=5, kinds=shop.kinds))
    worker.run(shop, once=True)
    first = model(shop)
    stops: dict[str, list[bool]] = {"old": [], "one": [], "other": []}

    def start(pool: Threads, name: str, settings: Settings) -> object:
        stop = stops[name]
        return pool.submit(worker.run, settings, False, True, lambda n: None, lambda: bool(stop))

    def tokens() -> set[str]:
        with closing(connect(shop)) as client:
            return {state.token for state in read_shards(client, shop).values()}

    def wanted() -> list[tuple[str, ...]]:
        """What each owner of a shard has said since the workers below were started."""
        with closing(connect(shop)) as client:
            states = read_shards(client, shop).values()
        return [each.known.features for each in states if each.known and each.known.token == each.token not in ended]

    ended = tokens()
    with Threads() as pool:
        try:
            start(pool, "old", shop)
            until(lambda: len(wanted()) == 2)  # else the other one might own the only shard that has a living owner
            start(pool, "one", by_value(shop))
            until(lambda: len(set(wanted())) == 2)
            beats = _beats(shop)
            until(lambda: min(_beats(shop)) > max(beats) + 3_000)
            assert model(shop).features == first.features
            (waiting,) = ask_redis(shop).waiting.items()
            assert waiting[0] == f"judging by {', '.join(BY_VALUE)}" and len(waiting[1]) == 1
            stops["old"].append(True)
            start(pool, "other", by_value(shop))
            until(lambda: model(shop).features == BY_VALUE and settled(shop))
        finally:
            for stop in stops.values():
                stop.append(True)
    assert verify(by_value(shop)).differences == []


def _beats(settings: Settings) -> list[int]:
    with closing(connect(settings)) as client:
        return [state.beat_ms for state in read_shards(client, settings).values()]


def test_half_way_all_adds_up_and_a_restore_takes_it_along(shop: Settings) -> None:
    """One shard is judged by the new features, the other is not yet: users are counted in both."""
    publish(shop, generate(4_000, USERS, seed=5, kinds=shop.kinds))
    worker.run(shop, once=True)
    snapshot.take(shop, 1)
    with closing(connect(shop)) as client:
        store = Store(client, shop)
        age_heartbeats(shop)
        assert refit(store, 1, BY_VALUE)
        current = model(shop)
        shard = own(store, 0)
        sweep(store, shard, current)
        assert verify(shop).differences == []
        assert sum(row.users for row in read_segments(shop).segments) == USERS
        judged = {row.generation for row in read_rows(client, shop, list(rows(shop))) if row}
        assert len(judged) == 2
    snapshot.take(shop, 2)
    age_heartbeats(shop)
    restore(shop, replace=True)
    assert {row.generation for row in rows(shop).values()} == {current.number}
    assert verify(shop).differences == []
    assert all(len(row.vector) == len(BY_VALUE) for row in rows(shop).values())
