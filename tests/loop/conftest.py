"""Variations of the settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from segmenter.settings import Settings


@pytest.fixture
def with_window() -> Callable[[Settings, int], Settings]:
    """The same settings with another duplicate window."""
    return lambda settings, window: dataclasses.replace(settings, duplicate_window=window)
