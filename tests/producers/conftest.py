"""Mappings written by hand, and what is on the log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from segmenter.settings import Settings
from segmenter.topics import beginnings, ends, event_topics, read_to

SMALL_MAPPING = """
format = "csv"
[columns]
user_id = "who"
session_id = "visit"
item_id = "what"
query = "what"
[time]
column = "at"
format = "unix_s"
[kind]
column = "did"
values = { look = "view", find = "search" }
default = "click"
"""


@pytest.fixture
def mapping_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a small mapping: ``old=new`` pairs are replaced in it, ``more`` is put before its first table."""

    def write(*replacements: tuple[str, str], more: str = "") -> Path:
        text = more + SMALL_MAPPING
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "mapping.toml"
        path.write_text(text, "utf-8")
        return path

    return write


@pytest.fixture
def on_the_log(settings: Settings) -> Callable[[], list[tuple[str, int, bytes | None, bytes | None]]]:
    """Reads (topic without prefix, partition, key, value) of every event record, in the order of each partition."""

    def read() -> list[tuple[str, int, bytes | None, bytes | None]]:
        topics = list(event_topics(settings))
        batches = read_to(settings, beginnings(settings, topics), ends(settings, topics))
        return [
            (record.topic.removeprefix(settings.topic_prefix), record.partition, record.key, record.value)
            for batch in batches
            for record in batch
        ]

    return read
