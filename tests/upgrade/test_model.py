"""A generation of a version whose model has other fields judges on: the bytes that were stored keep their digest."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from consumers import worker
from producers.publish import publish
from producers.synthetic.generator import START_MS, generate
from segmenter import warehouse
from segmenter.errors import SegmenterError
from segmenter.operations import restore, snapshot
from segmenter.operations.integrity.repair import repair_shards
from segmenter.operations.integrity.verify import find_differences
from segmenter.operations.owners import with_living_owner
from segmenter.settings import Settings
from segmenter.store.connection import Store
from segmenter.store.keys import Keys
from segmenter.store.models import publish as publish_model
from segmenter.store.models import read_model
from segmenter.store.shards import read_shards
from tests.integrity.spoiling import Spoiler
from tests.loop.helpers import profiles, rows
from tests.loop.plainly import profiles_of
from tests.threads import Threads
from tests.upgrade.left import Left

Until = Callable[[Callable[[], object]], None]

LATER = {"gain", "retired", "changes"}
"""Fields with a default, as any field that comes later has: the version before stored a model without them."""

OTHER: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "fields less": lambda model: {name: value for name, value in model.items() if name not in LATER},
    "a field more": lambda model: {"sharpness": {"every": [1.5, None]}, **model},
}


@pytest.fixture(params=OTHER)
def stored(request: pytest.FixtureRequest, store: Store) -> bytes:
    """The current generation, as a version with other fields would have stored it."""
    key = Keys(store.settings.key_prefix).model()
    number = store.client.hget(key, "current")
    body = json.dumps(OTHER[request.param](json.loads(store.client.hget(key, number) or b""))).encode()
    store.client.hset(key, mapping={number: body, "digest": hashlib.sha256(body).hexdigest()})
    return body


def current(store: Store) -> bytes:
    key = Keys(store.settings.key_prefix).model()
    return bytes(store.client.hget(key, store.client.hget(key, "current")))


def differences(store: Store) -> list[object]:
    return [difference for each in find_differences(store).values() for difference in each.differences]


def test_workers_go_on_by_it(left: Left, settings: Settings, store: Store, stored: bytes) -> None:
    worker.run(settings, once=True, may_refit=False)
    assert profiles(settings) == profiles_of(left.events)
    assert differences(store) == []
    assert current(store) == stored


def test_another_follows_it(left: Left, settings: Settings, store: Store, stored: bytes) -> None:
    """Compare-and-set holds: nothing follows a generation that is none, and everybody is judged by the next one."""
    before = read_model(*store)
    assert before is not None
    following = msgspec.structs.replace(before, number=before.number + 1)
    assert not publish_model(*store, following, msgspec.structs.replace(before, created_ms=1))
    assert publish_model(*store, following, before)
    worker.run(settings, once=True, may_refit=False)
    assert {row.generation for row in rows(settings).values()} == {following.number}
    assert differences(store) == []


def test_a_refit_follows_it(left: Left, settings: Settings, store: Store, stored: bytes) -> None:
    publish(settings, generate(2_000, 400, seed=3))
    worker.run(settings, once=True)
    assert current(store) != stored
    assert differences(store) == []


def test_a_model_that_does_not_fit_its_digest_ends_the_worker(settings: Settings, store: Store) -> None:
    """It was changed by hand, and nothing could ever be committed. What the worker says to do helps."""
    store.client.hset(Keys(settings.key_prefix).model(), "digest", "of another")
    with pytest.raises(SegmenterError, match=r"does not fit its digest: .* run `segmenter restore --replace`"):
        worker.run(settings, once=True)
    for number in range(settings.partitions):
        store.client.hset(Keys(settings.key_prefix).shard(number), "beat_ms", 0)  # it ended long ago
    with warehouse.connect(settings) as database:
        warehouse.migrate(database, 0)
    restore.write(settings, restore.prepare(settings, replace=True))
    worker.run(settings, once=True)
    assert differences(store) == []


def test_repairs_go_on(left: Left, settings: Settings, store: Store, stored: bytes, until: Until) -> None:
    """With no worker there, and by the one that holds the shard."""
    Spoiler(*store, b"u1").removed_member()
    repair_shards(store, [number for number, each in find_differences(store).items() if each.differences])
    assert differences(store) == []
    stop = threading.Event()
    with Threads() as pool:
        running = pool.submit(worker.run, settings, False, False, stopping=stop.is_set)
        try:
            until(
                lambda: (
                    running.done() or len(with_living_owner(store, range(settings.partitions))) == settings.partitions
                )
            )
            tokens = {state.token for state in read_shards(*store).values()}
            Spoiler(*store, b"u1").removed_member()
            repair_shards(store, [number for number, each in find_differences(store).items() if each.differences])
            assert differences(store) == []
            assert {state.token for state in read_shards(*store).values()} == tokens
        finally:
            stop.set()
        running.result()


def test_a_restore_brings_back_the_same_bytes(left: Left, settings: Settings, store: Store, stored: bytes) -> None:
    taken = snapshot.take(settings, START_MS + 1)
    restore.write(settings, restore.prepare(settings, taken.snapshot_id, replace=True))
    assert current(store) == stored
    worker.run(settings, once=True, may_refit=False)
    assert profiles(settings) == profiles_of(left.events)
    assert differences(store) == []
