"""`segmenter snapshot`: copy what the stream holds into the warehouse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from segmenter.cli import common

if TYPE_CHECKING:
    from segmenter.operations.snapshot import Taken


def snapshot(
    *,
    every: Annotated[float | None, Parameter(validator=Number(gte=1))] = None,
    keep: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    json: common.Json = False,
) -> None:
    """Copy every user's profile, features and segment into the warehouse, while the stream goes on.

    Parameters
    ----------
    every
        Take a snapshot every so many seconds, until stopped.
    keep
        How many snapshots to keep: older ones are removed from the warehouse. By default all stay.
    """
    from segmenter.operations import snapshot as snapshots

    settings = common.settings("redis_url", "warehouse_url")
    if every is None:
        _emit(snapshots.take_and_keep(settings, keep), json)
        return
    with common.stopping(common.OVERDUE_SECONDS) as stop:
        for taken in snapshots.take_every(every, settings, keep, stop.is_set):
            _emit(taken, json)


def _emit(taken: Taken, json: bool) -> None:
    report = {**taken.snapshot._asdict(), "removed": taken.removed, "seconds": taken.seconds}
    common.emit(report, json, _show)


def _show(report: dict[str, Any]) -> None:
    common.console.print(
        f"snapshot {report['snapshot_id']}: {report['users']:,} users, "
        f"generation {report['generation'] or 'none yet'}, in {report['seconds']:.1f} s"
        + (f"; removed {len(report['removed'])}" if report["removed"] else "")
    )
