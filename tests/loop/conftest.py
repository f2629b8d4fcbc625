"""Variations of the settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from segmenter.settings import Settings
from tests.conftest import REAL

collect_ignore = [] if REAL else ["test_after_outage.py", "test_cut_log.py", "test_expired.py", "test_transactions.py"]


@pytest.fixture
def with_window() -> Callable[[Settings, int], Settings]:
    """The same settings with another duplicate window."""
    return lambda settings, window: dataclasses.replace(settings, duplicate_window=window)
