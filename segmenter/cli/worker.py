"""`segmenter worker`: keep the live segments."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from segmenter.cli import common


def worker(
    *,
    once: bool = False,
    refit: Annotated[bool, Parameter(negative="--no-refit")] = True,
    from_log_start: bool = False,
    json: common.Json = False,
) -> None:
    """Keep every user's profile and segment in Redis as the events arrive, until stopped.

    Run as many as there are partitions at most: they share the shards.

    Parameters
    ----------
    once
        Take in what the log holds now, settle on a model, then end.
    refit
        Whether to look for better generations of the model; ``--no-refit`` keeps the current one.
    from_log_start
        Leave out events that the log no longer holds and that Redis has not applied: go on where the log begins.
        Without this it is an error, so that an emptied Redis or too long a stop is always noticed.
    """
    from consumers import worker as workers

    common.expect_many_objects()
    with common.stopping(common.OVERDUE_SECONDS) as stop, common.progress("taking in") as advance:
        result = workers.run(common.settings("kafka", "redis_url"), once, refit, advance, stop.is_set, from_log_start)
    common.emit(result._asdict(), json, _show)


def _show(report: dict[str, Any]) -> None:
    rate = report["records"] / max(report["seconds"], 0.001)
    common.console.print(
        f"took in {report['records']:,} records in {report['seconds']:.1f} s ({rate:,.0f} a second), "
        f"wrote {report['rows']:,} rows, {report['dead_letters']:,} dead letters"
    )
