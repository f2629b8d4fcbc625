"""Settings of a warehouse for all built-in kinds."""

from __future__ import annotations

import pytest

from segmenter.settings import Settings
from tests.profiles.world import KINDS, WINDOW


@pytest.fixture
def settings(warehouse_url: str) -> Settings:
    """Settings of this warehouse alone."""
    return Settings(warehouse_url=warehouse_url, kinds=KINDS, duplicate_window=WINDOW, currency="EUR")
