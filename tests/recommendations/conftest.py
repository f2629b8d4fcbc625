"""Settings of a warehouse alone."""

from __future__ import annotations

import pytest

from segmenter.settings import Settings


@pytest.fixture
def settings(warehouse_url: str) -> Settings:
    """Settings of this warehouse alone."""
    return Settings(warehouse_url=warehouse_url)
