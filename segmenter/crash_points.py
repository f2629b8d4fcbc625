"""Crash points: the named places in worker and sink where a test may kill the process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

WorkerPoint = Literal["acquire", "recount", "poll", "decode", "dead_letters", "fold", "commit", "sweep", "lag_offsets"]
"""acquire: the token of a shard is set; recount: a part of a dirty shard is recounted; poll to commit and lag_offsets:
the steps that `consumers.worker.loop` numbers; sweep: some users are judged by a new generation."""

SinkPoint = Literal["fetch", "convert", "insert", "load"]
"""fetch: records are read; convert: they are raw rows; insert: these are written; load: their transaction is done."""

WORKER_POINTS: tuple[WorkerPoint, ...] = get_args(WorkerPoint)
SINK_POINTS: tuple[SinkPoint, ...] = get_args(SinkPoint)

CrashPoint = WorkerPoint | SinkPoint
Watcher = Callable[[CrashPoint], None]

_watchers: list[Watcher] = []


def watch(watcher: Watcher) -> None:
    """Have ``watcher`` called each time that this process reaches a crash point, on the thread that does."""
    _watchers.append(watcher)


def reached(point: CrashPoint) -> None:
    """Notify the watchers that this process has reached a crash point."""
    for watcher in _watchers:
        watcher(point)
