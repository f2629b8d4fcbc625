"""Integrity on demand: what differs is named, and put right by the owner, or without one, also under load."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from consumers import integrity, mending, worker
from consumers.shard import Store
from producers.generate import generate
from producers.messages import Message
from producers.publish import publish
from segmenter.settings import Settings
from segmenter.store.connection import connect
from segmenter.store.shards import read_shards
from tests.loop.helpers import rows
from tests.loop.spoiling import FOLLOWING, Spoiler

EVENTS, USERS = 3_000, 400
USER = b"u1"

Until = Callable[[Callable[[], object]], None]


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    client = connect(settings)
    yield Store(client, settings)
    client.close()


@pytest.fixture
def messages(settings: Settings) -> list[Message]:
    """Published, and taken in by a worker that is gone, with a generation."""
    published = list(generate(EVENTS, USERS, seed=5))
    publish(settings, published)
    worker.run(settings, once=True)
    return published


@contextmanager
def working(settings: Settings) -> Iterator[None]:
    """A worker is there."""
    stop = threading.Event()
    with ThreadPoolExecutor() as pool:
        future = pool.submit(worker.run, settings, False, False, lambda n: None, stop.is_set)
        try:
            yield
        finally:
            stop.set()
        future.result()


@contextmanager
def publishing(settings: Settings, published: list[Message]) -> Iterator[None]:
    """More is published all the time, and noted."""
    stop = threading.Event()

    def go_on() -> None:
        seed = 100
        while not stop.is_set():
            some = list(generate(400, USERS, seed=(seed := seed + 1)))
            publish(settings, some)
            published.extend(some)

    with ThreadPoolExecutor() as pool:
        future = pool.submit(go_on)
        try:
            yield
        finally:
            stop.set()
        future.result()


def said(store: Store) -> list[str]:
    """Every difference, as a line."""
    return [str(each) for found in integrity.check(store).values() for each in found.differences]


def mend(store: Store) -> None:
    found = integrity.check(store)
    mending.mend(store, [number for number, each in found.items() if each.differences])


def taken_in(store: Store, published: list[Message]) -> bool:
    return sum(state.counts.folded for state in read_shards(*store).values()) == len(published)


def profiles(settings: Settings) -> dict[bytes, tuple[int, ...]]:
    return {user: row.profile for user, row in rows(settings).items()}


@pytest.mark.parametrize("what", FOLLOWING)
def test_what_is_spoilt_is_named_and_mended(store: Store, messages: list[Message], what: str) -> None:
    """With no worker there: the command takes the shard itself."""
    assert said(store) == []
    before = rows(store.settings)
    named = getattr(Spoiler(*store, USER), what)()
    assert named in said(store)
    mend(store)
    assert said(store) == []
    assert rows(store.settings) == before
