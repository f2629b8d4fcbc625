"""A kind is added whose topic has lost its beginning."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from consumers import sink, worker
from producers.messages import Message
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter.errors import UsageError
from segmenter.events import shard_of
from segmenter.operations import snapshot
from segmenter.operations.integrity.verify import verify
from segmenter.operations.reconcile import reconcile, reconcile_and_repair
from segmenter.operations.restore import restore
from segmenter.settings import Settings
from tests.kinds.plainly import profiles_of
from tests.kinds.test_adding import CARTS, profiles, with_kinds
from tests.loop.helpers import age_heartbeats, remove_keys

BEFORE = list(generate(600, 40, seed=1))
LOST = 3
"""Of the carts of shard 0."""


@pytest.fixture
def new(settings: Settings) -> Settings:
    """The settings with carts, of a system without that has taken a snapshot. Carts have been published since."""
    publish(settings, BEFORE)
    worker.run(settings, once=True)
    sink.run(settings, once=True)
    snapshot.take(settings, 1)
    age_heartbeats(settings)
    found = with_kinds(settings, CARTS)
    for message in carts(found):
        publish(found, [message])
    return found


def carts(settings: Settings) -> list[Message]:
    """What is published of the new kind."""
    return [m for m in generate(1_000, 40, seed=2, kinds=settings.kinds) if m.topic == CARTS.topic]


def expected(settings: Settings, lost: int = 0) -> dict[bytes, dict[str, int]]:
    """The profiles, without so many of the first carts of shard 0."""
    of_shard = [m for m in carts(settings) if shard_of(m.key or b"", settings.partitions) == 0]
    assert len(of_shard) > LOST
    kept = [m for m in carts(settings) if m not in of_shard[:lost]]
    return profiles_of([*BEFORE, *kept], settings.kinds)


def test_a_snapshot_from_before_is_restored(new: Settings, log_begins: Callable[[str, int, int], None]) -> None:
    """It needs nothing of that topic: the worker begins where the log does."""
    log_begins(f"{new.topic_prefix}{CARTS.topic}", 0, LOST)
    remove_keys(new)
    with pytest.raises(UsageError, match=r"lacks 006_kind\.sql add_to_cart"):
        restore(new)
    sink.run(new, once=True, skip_gap=True)
    assert restore(new).to_come == len(carts(new)) - LOST
    worker.run(new, once=True)
    assert profiles(new) == expected(new, LOST) and verify(new).differences == []


def test_what_only_the_sink_has_read_is_shown_and_repaired(
    new: Settings, log_begins: Callable[[str, int, int], None]
) -> None:
    """The log loses the first carts after the sink has loaded them, and before the workers know the kind."""
    sink.run(new, once=True)
    log_begins(f"{new.topic_prefix}{CARTS.topic}", 0, LOST)
    worker.run(new, once=True)
    assert profiles(new) == expected(new, LOST)
    snapshot.take(new, 2)
    _, result = reconcile(new)
    assert not result.equal
    passes = list(reconcile_and_repair(new, wait_s=30))
    assert passes[-1].result.equal
    assert profiles(new) == expected(new)
