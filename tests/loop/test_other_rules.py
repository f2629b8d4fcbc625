"""Whoever comes with other rules than those by which the store was filled is refused, and nothing changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text

from consumers import sink, worker
from consumers.trainer.refit import refit_now
from segmenter import warehouse
from segmenter.client import SegmentClient
from segmenter.errors import RulesDiffer
from segmenter.events import Event, Rules
from segmenter.kinds import DEFAULT
from segmenter.operations import restore, snapshot
from segmenter.operations.integrity.digests import digest_store
from segmenter.operations.integrity.repair import verify_and_repair
from segmenter.operations.integrity.verify import verify
from segmenter.operations.reconcile import reconcile, reconcile_and_repair
from segmenter.operations.restore_from_raw import restore_from_raw
from segmenter.operations.segments.live import read_segments
from segmenter.settings import Settings
from segmenter.store.connection import Store, clock_ms, connect
from segmenter.store.keys import Keys
from segmenter.store.shards import acquire_shard, read_shards
from segmenter.warehouse.engine import reading
from tests.loop.helpers import START_MS, age_heartbeats, publish, rows, users_of, working

OTHER: dict[str, object] = {"partitions": 3, "duplicate_window": 7, "max_ahead_ms": 8, "kinds": DEFAULT[:2]}
"""Another value of each rule that is a setting; without a kind that measures one, there is no currency."""

SAID = {"kinds": "the kind view is plural views, topic views, measure duration there"}
"""How a rule that differs is told, if not by its name and both values."""

OF_STORE: dict[str, Callable[[Settings], object]] = {
    "worker": lambda changed: worker.run(changed, once=True),
    "refit": lambda changed: refit_now(changed, START_MS),
    "segments": read_segments,
    "snapshot": lambda changed: snapshot.take(changed, START_MS),
    "digest": digest_store,
    "verify": verify,
    "verify --repair": verify_and_repair,
    "reconcile --repair": lambda changed: list(reconcile_and_repair(changed, 0)),
    "restore": lambda changed: restore.restore(changed, replace=True),
    "restore --from-raw": lambda changed: restore_from_raw(changed, replace=True),
}
"""Who goes by the rules in Redis."""

OF_WAREHOUSE: dict[str, Callable[[Settings], object]] = {
    "sink": lambda changed: sink.run(changed, once=True),
    "reconcile": reconcile,
}
"""Who goes by those in the warehouse."""


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """A store and a warehouse that hold some events."""
    publish(settings, "views", [Event(f"u{number}", START_MS) for number in range(20)])
    worker.run(settings, once=True)
    sink.run(settings, once=True)
    snapshot.take(settings, START_MS)
    age_heartbeats(settings)
    with closing(connect(settings)) as client:
        yield Store(client, settings)


def stored_rules(store: Store) -> tuple[Rules, Rules]:
    """Those in Redis, and those in the warehouse."""
    with warehouse.connect(store.settings) as database, reading(database) as connection:
        kept = connection.execute(text("SELECT value FROM meta WHERE name = 'rules'")).scalar_one()
    there = store.client.hget(Keys(store.settings.key_prefix).meta(), "rules")
    return tuple(msgspec.json.decode(each, type=Rules) for each in (there, kept))


def test_all_who_come_with_another_rule_are_refused(store: Store, tmp_path: Path) -> None:
    """By the store, whose warehouse is new to them; the sink and who reads what it has loaded by the warehouse."""
    right = Rules.of(store.settings)
    before, states = rows(store.settings), read_shards(*store)
    for name, value in OTHER.items():
        changed = dataclasses.replace(store.settings, **{name: value})
        elsewhere = dataclasses.replace(changed, warehouse_url=f"sqlite:///{tmp_path}/{name}.db")
        said = "differ: " + SAID.get(name, f"{name} is {getattr(right, name)} there and {value} here")
        for who, use in [*OF_STORE.items(), *OF_WAREHOUSE.items()]:
            with pytest.raises(RulesDiffer, match=said):
                use(elsewhere if who in OF_STORE else changed)
            assert stored_rules(store) == (right, right), who
    assert rows(store.settings) == before and read_shards(*store) == states


def test_a_lookup_goes_by_the_stored_rules(store: Store) -> None:
    """It tells how fresh the shard is that holds the user, whatever its own settings say, and changes nothing."""
    settings, right, now_ms = store.settings, stored_rules(store), clock_ms(store.client)
    store.client.hset(Keys(settings.key_prefix).shard(0), mapping={"beat_ms": now_ms, "caught_up_ms": now_ms})
    fresh, stale = users_of(settings, 0), users_of(settings, 1)
    for partitions in (settings.partitions, 1, 5):
        own = {"key_prefix": settings.key_prefix, "partitions": partitions, "stale_after_ms": 86_400_000}
        with SegmentClient(settings.redis_url, **own, duplicate_window=7) as client:
            answers = client.lookup_many([*fresh, *stale])
        assert [answer.user for answer in answers if answer.stale] == stale, partitions
    assert stored_rules(store) == right


@pytest.mark.parametrize("how", ["another owner", "lost writes"])
def test_a_worker_whose_store_was_filled_by_other_rules_meanwhile_ends(
    store: Store, until: Callable[[Callable[[], object]], None], how: str
) -> None:
    """It finds that out when it acquires its shards again, and writes nothing; after lost writes in the same group."""
    meta = Keys(store.settings.key_prefix).meta()
    other = msgspec.json.encode(msgspec.structs.replace(Rules.of(store.settings), duplicate_window=7))

    def tokens() -> dict[int, str]:
        return {number: state.token for number, state in read_shards(*store).items()}

    before = tokens()
    with (
        pytest.raises(RulesDiffer, match="duplicate_window is 7 there and 100000 here"),
        working(store.settings) as running,
    ):
        until(lambda: running.done() or set(before.values()).isdisjoint(tokens().values()))
        store.client.hset(meta, "rules", other)
        if how == "another owner":
            taken = {number: acquire_shard(*store, number).token for number in before}
        else:
            taken = tokens()
            for number in before:
                store.client.hincrby(Keys(store.settings.key_prefix).shard(number), "version", -1)
        until(lambda: running.done() or tokens() != taken)
    assert tokens() == taken
    assert store.client.hget(meta, "rules") == other
