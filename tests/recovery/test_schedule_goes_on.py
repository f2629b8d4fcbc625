"""Snapshots on a schedule go on after what a person or time mends: the next one is taken when it is due."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from consumers import worker
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter.operations.schedule import take_every
from segmenter.settings import Settings
from segmenter.store.connection import connect
from segmenter.store.keys import Keys
from tests.loop.helpers import changing_owners

Trouble = Callable[[Settings], Iterator[None]]
USERS = 40


def corrupt(settings: Settings) -> Iterator[None]:
    """The offsets of a shard cannot be read."""
    with closing(connect(settings)) as client:
        shard = Keys(settings.key_prefix).shard(1)
        offsets = client.hget(shard, "offsets")
        client.hset(shard, "offsets", "?")
        yield
        client.hset(shard, "offsets", offsets or "")


def contended(settings: Settings) -> Iterator[None]:
    """A shard changes owners all the time."""
    with changing_owners(settings):
        yield


def away(settings: Settings) -> Iterator[None]:
    """The database is not there yet."""
    yield
    Path(settings.warehouse_url.removeprefix("sqlite:///")).parent.mkdir()


@pytest.mark.parametrize("trouble", [corrupt, contended, away])
def test_a_snapshot_that_is_not_taken_ends_no_schedule(settings: Settings, tmp_path: Path, trouble: Trouble) -> None:
    own = replace(settings, warehouse_url=f"sqlite:///{tmp_path}/later/warehouse.db")
    if trouble is not away:
        (tmp_path / "later").mkdir()
    publish(own, generate(300, USERS, seed=1))
    worker.run(own, once=True)
    asked, tries = iter(range(1_000)), 1
    with ExitStack() as lasting:
        lasting.enter_context(contextmanager(trouble)(own))

        def stopping() -> bool:
            """Asked before each try: the first two fail, then all is well again."""
            number = next(asked)
            if number == 2:
                lasting.close()
            return number == 20

        while tries == 1:
            asked = iter(range(1_000))
            taken = next(take_every(0, own, None, stopping))
            tries = next(asked)
            assert tries > 1 or trouble is contended  # which may leave a moment between two owners
    assert taken.taken.snapshot.users == USERS
