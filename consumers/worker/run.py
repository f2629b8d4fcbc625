"""Running a worker. When a kind of event is added, it begins anew, and reads the topic of that kind, too."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from consumers.worker.groups import KindsAdded
from consumers.worker.loop import Worker, WorkerResult
from segmenter.settings import Settings
from segmenter.topics import ends, event_topics

log = structlog.get_logger()


def run(
    settings: Settings,
    once: bool,
    may_refit: bool = True,
    on_progress: Callable[[int], None] = lambda records: None,
    stopping: Callable[[], bool] = lambda: False,
    from_log_start: bool = False,
) -> WorkerResult:
    """Run a worker until ``stopping``; with ``once``, until its shards, if any, are read to the log's end, and settled.

    ``may_refit`` runs the trainer. ``on_progress`` is called with the number of records of each commit. Raises
    `LogTruncated` for a shard that Redis does not know and whose log has lost its beginning, unless ``from_log_start``;
    and, with ``once``, `Corrupt` in the end if a shard was parked.
    """
    results: list[WorkerResult] = []
    while True:
        worker = Worker(settings, may_refit, from_log_start, on_progress)
        if waiting := [kind.name for kind in settings.kinds if kind not in worker.settings.kinds]:
            log.info("kinds wait until all workers know them: see segmenter status", kinds=waiting)
        try:
            results.append(worker.run(ends(settings, event_topics(worker.settings)) if once else None, stopping))
        except KindsAdded:
            log.info("kinds were added: beginning anew")
            results.append(worker.result())
            continue
        return WorkerResult(*map(sum, zip(*results, strict=True)))
