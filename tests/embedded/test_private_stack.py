"""A stack that belongs to one process: nothing of it survives, however that process ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from segmenter import embedded

Processes = list[psutil.Process]
Family = Callable[[int], Processes]
Gone = Callable[[Processes], None]
Until = Callable[[Callable[[], object]], None]

OWNER = """
import signal
from segmenter import embedded
with embedded.private_stack() as stack:
    print(stack.pid, flush=True)
    signal.pause()
"""


def _folder(stack: embedded.Addresses) -> Path:
    return Path(stack.warehouse_url.removeprefix("sqlite:///")).parent


def test_the_block_takes_everything_with_it(family: Family, gone: Gone) -> None:
    with embedded.private_stack() as stack:
        processes = family(stack.pid)
        assert _folder(stack).is_dir()
    gone(processes)
    assert not _folder(stack).exists()


def test_an_error_takes_everything_with_it(family: Family, gone: Gone) -> None:
    with pytest.raises(RuntimeError), embedded.private_stack() as stack:
        processes = family(stack.pid)
        raise RuntimeError
    gone(processes)
    assert not _folder(stack).exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_a_signal_to_the_owner_takes_everything_with_it(
    number: signal.Signals, tmp_path: Path, family: Family, gone: Gone, until: Until
) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        start_new_session=True,
    )
    with owner:
        assert owner.stdout is not None
        processes = family(int(owner.stdout.readline()))
        assert list(tmp_path.iterdir())
        os.killpg(owner.pid, number)  # as a terminal does with Ctrl-C: the whole group gets it
    gone(processes)
    until(lambda: not list(tmp_path.iterdir()))


def test_when_a_part_dies_the_other_ends(family: Family, gone: Gone) -> None:
    with embedded.private_stack() as stack:
        processes = family(stack.pid)
        processes[2].kill()
        gone(processes[1:])
    assert not _folder(stack).exists()
