from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from segmenter import embedded

Processes = list[psutil.Process]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for a stack, which is stopped after the test."""
    yield tmp_path / ".segmenter"
    embedded.stop(tmp_path / ".segmenter")


@pytest.fixture
def family() -> Callable[[int], Processes]:
    """The supervisor with this id, the broker and the Redis."""

    def members(supervisor: int) -> Processes:
        process = psutil.Process(supervisor)
        found = [process, *process.children(recursive=True)]
        assert len(found) == 3
        return found

    return members


@pytest.fixture
def gone(until: Callable[[Callable[[], object]], None]) -> Callable[[Processes], None]:
    """Wait until none of the processes lives. Whether their parent has asked for the exit code does not matter."""

    def lives(process: psutil.Process) -> bool:
        try:
            return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    return lambda processes: until(lambda: not any(map(lives, processes)))
