"""The parts of a test as each earlier version left them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import closing

import pytest

from segmenter.settings import Settings
from segmenter.store.connection import Store, connect
from tests.upgrade.left import Left, left_by, put_back, versions


@pytest.fixture(params=versions())
def left(request: pytest.FixtureRequest) -> Left:
    """What an earlier version left behind."""
    return left_by(request.param)


@pytest.fixture
def settings(settings: Settings, left: Left) -> Settings:
    """Settings of parts as that version left them."""
    there = dataclasses.replace(settings, partitions=left.made["partitions"])
    put_back(left, there)
    return there


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """The store that it left."""
    with closing(connect(settings)) as client:
        yield Store(client, settings)
