"""A restore brings back everybody, however many there are, by the latest model, and only while no worker lives."""

from __future__ import annotations

import json
from contextlib import closing

import pytest

from consumers import sink, worker
from consumers.trainer.refit import rename
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter.errors import UsageError
from segmenter.operations import restore, restore_from_raw, snapshot
from segmenter.settings import Settings
from segmenter.store.connection import clock_ms, connect
from segmenter.store.keys import Keys
from segmenter.store.models import read_model
from segmenter.warehouse import snapshot_contents
from tests.loop.helpers import START_MS, age_heartbeats, profiles, remove_keys
from tests.loop.plainly import profiles_of

EVENTS = list(generate(300, 50, seed=1))


def test_more_users_than_are_read_at_once_come_back(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a snapshot and from the raw events."""
    monkeypatch.setattr(snapshot_contents, "USERS_AT_A_TIME", 7)
    monkeypatch.setattr(restore_from_raw, "USERS_AT_A_TIME", 7)
    publish(settings, EVENTS)
    worker.run(settings, once=True)
    sink.run(settings, once=True)
    snapshot.take(settings, START_MS)
    for bring_back in (restore.restore, restore_from_raw.restore_from_raw):
        remove_keys(settings)
        assert bring_back(settings).users == 50
        assert profiles(settings) == profiles_of(EVENTS)


def test_a_worker_of_any_shard_is_in_the_way(settings: Settings) -> None:
    """Workers share the shards: where one has ended, another may live."""
    publish(settings, EVENTS)
    worker.run(settings, once=True)
    sink.run(settings, once=True)
    snapshot.take(settings, START_MS)
    before = profiles(settings)
    for number in range(settings.partitions):
        age_heartbeats(settings)
        with closing(connect(settings)) as client:
            client.hset(Keys(settings.key_prefix).shard(number), "beat_ms", clock_ms(client))
        for prepare in (restore.prepare, restore_from_raw.prepare_from_raw):
            with pytest.raises(UsageError, match=f"a worker held shard {number} "):
                prepare(settings, replace=True)
    assert profiles(settings) == before


def test_raw_events_are_judged_by_the_model_of_the_latest_snapshot(settings: Settings) -> None:
    publish(settings, EVENTS)
    worker.run(settings, once=True)
    sink.run(settings, once=True)
    for name in ("Our guests", "Our friends", "Our fans"):
        rename(settings, settings.segments[-1], name, START_MS)
        snapshot.take(settings, START_MS)
    remove_keys(settings)
    restore_from_raw.restore_from_raw(settings)
    with closing(connect(settings)) as client:
        model = read_model(client, settings)
    assert model is not None
    assert json.loads(model.encode())["segments"][-1]["name"] == "Our fans"
