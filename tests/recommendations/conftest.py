"""A warehouse with its schema, and settings of it alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from segmenter import warehouse
from segmenter.settings import Settings
from segmenter.warehouse import Warehouse


@pytest.fixture
def settings(warehouse_url: str) -> Settings:
    """Settings of this warehouse alone."""
    return Settings(warehouse_url=warehouse_url)


@pytest.fixture
def database(settings: Settings) -> Iterator[Warehouse]:
    """The warehouse, with its schema."""
    with warehouse.connect(settings) as database:
        warehouse.migrate(database, now_ms=1)
        yield database
