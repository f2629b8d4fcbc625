"""A warehouse for all built-in kinds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from segmenter import warehouse
from segmenter.settings import Settings
from segmenter.warehouse import Warehouse
from tests.profiles.world import KINDS, WINDOW


@pytest.fixture
def settings(warehouse_url: str) -> Settings:
    """Settings of this warehouse alone."""
    return Settings(warehouse_url=warehouse_url, kinds=KINDS, duplicate_window=WINDOW, currency="EUR")


@pytest.fixture
def database(settings: Settings) -> Iterator[Warehouse]:
    """The warehouse, with its schema."""
    with warehouse.connect(settings) as database:
        warehouse.migrate(database, now_ms=1)
        yield database
