"""A group that the embedded broker has lost: the workers move to another one."""

from __future__ import annotations

import time
import uuid
from contextlib import closing

import pytest

from consumers import worker
from consumers.worker.membership import Membership
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter.errors import OwnershipLost
from segmenter.settings import Settings
from segmenter.store.connection import Store, connect
from segmenter.store.meta import group_in_use
from segmenter.topics import ShardConsumer, TopicGuard
from tests.loop.helpers import profiles
from tests.loop.plainly import profiles_of


@pytest.fixture
def settings(embedded_parts: Settings) -> Settings:
    """The embedded parts alone: Apache Kafka does not lose a group."""
    name = f"t{uuid.uuid4().hex[:12]}"
    return Settings(
        kafka=embedded_parts.kafka, redis_url=embedded_parts.redis_url, warehouse_url=embedded_parts.warehouse_url,
        key_prefix=name, topic_prefix=f"{name}.", group=name, partitions=2,
    )  # fmt: skip


@pytest.mark.timeout(240)  # two rebalances that do not end
def test_workers_leave_a_group_that_waits_for_ever(settings: Settings) -> None:
    """Its leader leaves without taking part just after another has joined; that one, and later ones, go on."""
    messages = list(generate(500, 50, seed=1))
    publish(settings, messages)
    with closing(connect(settings)) as client, closing(TopicGuard(settings)) as guard:
        first = group_in_use(client, settings)
        leader = ShardConsumer(settings, first)
        while not leader.shards():
            leader.poll(100, 1)
        membership = Membership(Store(client, settings), guard, settings)
        membership.follow()
        joined_until = time.monotonic() + 0.2
        while time.monotonic() < joined_until:
            membership.poll(10, 1)
        leader._consumer.close(autocommit=False)
        given_up = 0
        give_up = time.monotonic() + 120
        while not membership.holds_all_assigned():
            assert time.monotonic() < give_up, "the member never got a shard"
            try:
                membership.follow()
                membership.acquire(None)
                membership.poll(100, 1)
            except OwnershipLost as reason:
                given_up += 1
                membership.rejoin(reason)
        assert (given_up, group_in_use(client, settings)) == (2, f"{first}.1")
        membership.leave()
    worker.run(settings, once=True, may_refit=False)
    assert profiles(settings) == profiles_of(messages)
