"""A warehouse that is empty, and one that has its schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from segmenter import warehouse
from segmenter.settings import Settings
from segmenter.warehouse import Warehouse


@pytest.fixture
def empty(warehouse_url: str) -> Iterator[Warehouse]:
    """A warehouse without a schema."""
    with warehouse.connect(Settings(warehouse_url=warehouse_url)) as database:
        yield database


@pytest.fixture
def database(empty: Warehouse, give_schema: Callable[[Warehouse], Warehouse]) -> Warehouse:
    """The same one, with the schema."""
    return give_schema(empty)
