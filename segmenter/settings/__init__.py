"""The settings of every part: what they mean, what they may be, and where a value came from."""

from __future__ import annotations

from segmenter.settings.definition import FIELDS, PREFIX, SECRETS, Settings
from segmenter.settings.sources import FILE, REDIS_BIN, load, load_with_sources

__all__ = ["FIELDS", "FILE", "PREFIX", "REDIS_BIN", "SECRETS", "Settings", "load", "load_with_sources"]
