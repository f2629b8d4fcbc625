"""A log that lost its end while it was read. On Apache Kafka, since the embedded broker keeps no files."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from segmenter.errors import LogTruncated, Unreachable
from segmenter.events import Event
from segmenter.settings import Settings
from segmenter.topics import Reader, has_topic
from tests.loop.helpers import START_MS, publish

REAL_PARTS = Path(__file__).parents[2] / ".ci" / "real-parts"
BATCHES = 10


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """A Kafka of this test alone, that can be ordered to ``kill`` and ``revive``."""
    (tmp_path / "jars").symlink_to(os.environ["SEGMENTER_TEST_KAFKA_JARS"])

    def run_part(verb: str, *part: str) -> None:
        subprocess.run([REAL_PARTS, verb, tmp_path, *part], check=True)

    run_part("up")
    try:
        yield lambda verb: run_part(verb, "kafka")
    finally:
        run_part("down")


def answers(settings: Settings) -> bool:
    """Whether the broker does; it is slow just after its start."""
    try:
        return has_topic(settings, f"{settings.topic_prefix}views")
    except Unreachable:
        return False


@pytest.mark.parametrize("parts", ["real"], indirect=True)
def test_whoever_has_read_what_the_log_lost_is_told(
    settings: Settings, broker: Callable[[str], None], tmp_path: Path, until: Callable[[Callable[[], object]], None]
) -> None:
    """Also when the log has grown beyond that offset again: other records are before it now."""
    (address,) = (line for line in (tmp_path / "env").read_text().split() if line.startswith("SEGMENTER_TEST_KAFKA="))
    own = dataclasses.replace(settings, kafka=address.partition("=")[2], partitions=1)
    for _ in range(BATCHES):
        publish(own, "views", [Event("u1", START_MS)])
    topic = f"{own.topic_prefix}views"
    with Reader(own, {(topic, 0): 0}) as reader:

        def read_to(offset: int) -> bool:
            reader.poll(100)
            return reader.positions() == {(topic, 0): offset}

        until(lambda: read_to(BATCHES))
        broker("kill")
        (written,) = (tmp_path / "kafka" / "logs" / f"{topic}-0").glob("*.log")
        os.truncate(written, written.stat().st_size // 2)
        broker("revive")
        until(lambda: answers(own))
        for _ in range(BATCHES):
            publish(own, "views", [Event("u1", START_MS)])
        with pytest.raises(LogTruncated, match=rf"offset {BATCHES} of .*views' .* was cut back to {BATCHES // 2}\."):
            until(lambda: read_to(2 * BATCHES))
