"""What can happen to the log itself: records expire, a topic grows. Real parts only, on small topics of their own.

Both must end in a loud error, with nothing written; the first can be repaired from a snapshot.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from producers.publish import publish
from segmenter import topics
from segmenter.settings import Settings
from segmenter.store.connection import connect
from segmenter.topics.client import client_options
from tests.chaos import events, parts
from tests.chaos.faults import Struck
from tests.chaos.processes import Child, command, environment_of
from tests.chaos.verdict import digests
from tests.chaos.world import World

EVENTS, USERS, BEFORE = 4_000, 500, 2_500


def strike(world: World) -> Iterator[Struck]:
    """Both, one after the other."""
    name = f"{world.settings.key_prefix}log"
    file = world.folder / "log.jsonl"
    events.write(file, EVENTS, USERS, seed=world.rng.randrange(1_000), kinds=world.settings.kinds)
    with parts.warehouse(world.parts.which, world.folder, name) as warehouse_url:
        own = dataclasses.replace(
            world.settings, key_prefix=name, topic_prefix=f"{name}.", group=name, warehouse_url=warehouse_url
        )
        yield _expired(own, file)
        yield _grown(world, own)


def _expired(settings: Settings, file: Path) -> Struck:
    """Redis forgets all, and half of what it had read has expired; restored from a snapshot, nothing is lost.

    The other half holds what repeats reach back to.
    """
    environment = environment_of(settings)
    messages = events.messages(file)
    publish(settings, islice(messages, BEFORE))
    command("worker --once", environment)
    command("snapshot", environment)
    ends = topics.ends(settings, topics.event_topics(settings))
    with closing(KafkaAdminClient(**client_options(settings))) as admin:
        admin.delete_records({TopicPartition(*position): end // 2 for position, end in ends.items()})
    publish(settings, messages)
    with closing(connect(settings)) as client:
        client.unlink(*client.keys(f"{settings.key_prefix}:*"))
    refused = command("worker --once", environment, check=False)
    assert refused.returncode == 1 and "segmenter restore" in refused.stderr, refused.stderr
    assert digests(settings)["users"] == 0
    command("restore", environment)
    command("worker --once --no-refit", environment)
    assert digests(settings)["aggregates"] == events.expected(file, settings.kinds).aggregates, (
        "restored, events are missing"
    )
    return Struck("log expired, Redis empty", "refused, then restored", EVENTS - BEFORE)


def _grown(world: World, settings: Settings) -> Struck:
    """A topic gets another partition while a worker runs: it ends and says what to do, as does the next."""
    environment = environment_of(settings)
    before = digests(settings)
    child = Child("grown", "worker --no-refit", environment, world.folder)
    child.start()
    world.until(lambda: "shard acquired" in child.said(), "the worker opened no shard")
    with closing(KafkaAdminClient(**client_options(settings))) as admin:
        admin.create_partitions({f"{settings.topic_prefix}clickstream": settings.partitions + 1})
    world.until(lambda: not child.living(), "the worker goes on although a topic has grown")
    refused = command("worker --once", environment, check=False)
    for code, said in ((child.died(), child.said()), (refused.returncode, refused.stderr)):
        assert code == 2 and f"clickstream has {settings.partitions + 1}" in said, said
    assert digests(settings) == before
    return Struck("topic grown", "refused, nothing written", 0)
