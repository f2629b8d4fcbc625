"""A broker that falls silent just as a worker is to publish dead letters, or asks for the topics."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from kafka.errors import KafkaTimeoutError

from consumers import worker
from segmenter.embedded import private_stack
from segmenter.settings import Settings
from segmenter.topics import client, event_topics
from segmenter.topics.dead_letters import read_dead_letters
from segmenter.topics.reader import open_consumer
from tests.loop.helpers import publish_raw

LETTERS = 50

FREEZES_ITS_BROKER = """
import os, signal, sys
from segmenter import crash_points
from segmenter.cli import main

broker = int(sys.argv.pop())

def strike(point):
    if point == "decode":
        os.kill(broker, signal.SIGSTOP)
        print("frozen", flush=True)

crash_points.watch(strike)
sys.argv = ["segmenter", "worker", "--no-refit"]
main()
"""


@pytest.fixture
def broker(settings: Settings) -> Iterator[tuple[Settings, psutil.Process]]:
    """The settings with a broker that no other test uses, and its process."""
    with private_stack() as stack:
        port = int(stack.kafka.rpartition(":")[2])
        (process,) = (
            child
            for child in psutil.Process().children(recursive=True)
            if any(at.laddr.port == port and at.status == psutil.CONN_LISTEN for at in child.net_connections("tcp"))
        )
        try:
            yield dataclasses.replace(settings, kafka=stack.kafka), process
        finally:
            process.resume()


def test_sigterm_ends_a_worker_that_cannot_tell(
    broker: tuple[Settings, psutil.Process],
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    """Within 5 seconds, in good order; the next worker publishes each letter, and counts it once."""
    settings, process = broker
    publish_raw(settings, "views", [(b"somebody", b"nonsense")] * LETTERS)
    log = tmp_path / "log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [sys.executable, "-c", FREEZES_ITS_BROKER, str(process.pid)],
            env=environment | {"SEGMENTER_KAFKA": settings.kafka},
            stdout=subprocess.PIPE,
            stderr=errors,
        ) as ending,
    ):
        try:
            assert ending.stdout is not None and ending.stdout.readline() == b"frozen\n"
            ending.send_signal(signal.SIGTERM)
            assert ending.wait(timeout=5) == 0
        finally:
            ending.kill()
    assert "Traceback" not in log.read_text("utf-8")
    process.resume()
    assert worker.run(settings, once=True, may_refit=False).dead_letters == LETTERS
    assert len(read_dead_letters(settings)) == LETTERS


def test_a_client_does_not_wait_for_ever_for_topics(
    broker: tuple[Settings, psutil.Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, process = broker
    monkeypatch.setattr(client, "METADATA_MS", 300)
    with closing(open_consumer(settings, group_id="workers")) as consumer:
        consumer.subscribe(list(event_topics(settings)))
        process.suspend()
        with pytest.raises(KafkaTimeoutError):
            client.refresh_metadata(consumer)
        process.resume()
