"""Snapshots on a schedule, each compared with the batch if so asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import structlog

from segmenter.errors import Corrupt, Fenced, NothingYet, SegmenterError, Unreachable
from segmenter.operations.comparison import Reconciliation
from segmenter.operations.progress import Progress, silent
from segmenter.operations.reconcile import reconcile
from segmenter.operations.snapshot import Taken, take_and_keep
from segmenter.settings import Settings

WAIT_SECONDS = 60.0
"""How long to wait for the sink to load what a snapshot needs."""

log = structlog.get_logger()


class Checked(NamedTuple):
    """A snapshot, and how it compares with the batch."""

    taken: Taken
    verdict: Reconciliation | None
    """None if it was not compared."""
    unknown: str | None
    """Why it could not be compared."""

    @property
    def holds(self) -> bool:
        """Whether it was not to be compared, or equals the batch."""
        return self.unknown is None and (self.verdict is None or self.verdict.equal)


def take_and_check(
    settings: Settings,
    keep: int | None,
    check: bool,
    wait_s: float,
    incremental: bool = False,
    progress: Progress = silent,
) -> Checked:
    """Take a snapshot, remove all but the latest ``keep``, and ``check`` it against the batch.

    Raises what `segmenter.operations.snapshot.take` does. Whether it is equal is unknown if the sink does not load
    within ``wait_s`` seconds what the snapshot needs, or it cannot be compared for another reason.
    """
    taken = take_and_keep(settings, keep, incremental, progress)
    if not check:
        return Checked(taken, None, None)
    try:
        return Checked(taken, reconcile(settings, taken.snapshot.snapshot_id, wait_s, progress=progress)[1], None)
    except SegmenterError as reason:  # whatever it is, the snapshot has been taken
        return Checked(taken, None, str(reason))


def take_every(
    seconds: float,
    settings: Settings,
    keep: int | None,
    stopping: Callable[[], bool],
    check: bool = False,
    incremental: bool = False,
) -> Iterator[Checked]:
    """`take_and_check` now and every so many seconds, until ``stopping``.

    What may work later (`Unreachable`, `Fenced`, `NothingYet`, `Corrupt`) is logged, and tried again when the next one
    is due. So is a snapshot that differs from the batch, or that the sink has not come to yet.
    """
    due = time.monotonic()
    while not stopping():
        if time.monotonic() < due:
            time.sleep(0.1)
            continue
        due = time.monotonic() + seconds
        try:
            done = take_and_check(settings, keep, check, WAIT_SECONDS, incremental)
        except (Unreachable, Fenced, NothingYet, Corrupt) as reason:
            log.warning("a snapshot was not taken, or old ones were not removed", reason=str(reason))
            continue
        if done.unknown:
            log.warning("a snapshot was not compared", reason=done.unknown)
        elif not done.holds:
            log.error("stream and batch differ: run `segmenter reconcile`", snapshot=done.taken.snapshot.snapshot_id)
        yield done
