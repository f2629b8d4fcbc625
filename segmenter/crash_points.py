"""The named steps of worker and sink, told as they are passed, so that a test can strike between any two of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

WorkerStep = Literal["open", "recount", "poll", "cut", "tell", "fold", "commit", "sweep", "mark"]
"""open: a shard's token is taken; recount: a part of a dirty shard is put right; poll, cut, tell, fold, commit and
mark: as `consumers.worker` numbers them; sweep: a part of the users is judged anew."""

SinkStep = Literal["fetch", "judge", "insert", "load"]
"""fetch: records are read; judge: and judged; insert: written, the transaction is open; load: it is committed."""

WORKER_STEPS: tuple[WorkerStep, ...] = get_args(WorkerStep)
SINK_STEPS: tuple[SinkStep, ...] = get_args(SinkStep)

Step = WorkerStep | SinkStep
Watcher = Callable[[Step], None]

_watchers: list[Watcher] = []


def watch(watcher: Watcher) -> None:
    """Have ``watcher`` called after each step of this process, on the thread that takes it."""
    _watchers.append(watcher)


def passed(step: Step) -> None:
    """Say that a step is done."""
    for watcher in _watchers:
        watcher(step)
