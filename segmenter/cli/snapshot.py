"""`segmenter snapshot`: copy what the stream holds into the warehouse."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from segmenter.cli import common
from segmenter.errors import UsageError

if TYPE_CHECKING:
    from segmenter.operations.schedule import Checked

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "": 1}


def snapshot(
    *,
    every: str | None = None,
    keep: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    reconcile: bool = False,
    incremental: bool = False,
    json: common.Json = False,
) -> int:
    """Copy every user's profile, features and segment into the warehouse, while the stream goes on.

    Parameters
    ----------
    every
        Take a snapshot every so often, until stopped: 15m, 1h, or a number of seconds.
    keep
        How many snapshots to keep: older ones are removed from the warehouse. By default all stay, or what
        SEGMENTER_RETENTION_DAYS says.
    reconcile
        Compare each snapshot with the batch summary, as soon as the sink has loaded what it needs, a minute later at
        most. The exit code is 1 if one differs; with --every, others are taken all the same. One that could not be
        compared is reported; without --every, the exit code is 1 then, too.
    incremental
        Store only the users who have changed since the last whole snapshot, which is kept as long as it is needed. What
        reads it sees all users. It is whole if there is none yet, or over half of the users had changed the last time.
    """
    from segmenter.operations import schedule

    seconds = None if every is None else seconds_of(every)
    settings = common.settings("redis_url", "warehouse_url")
    if seconds is None:
        wait_s = schedule.WAIT_SECONDS
        done = schedule.take_and_check(settings, keep, reconcile, wait_s, incremental, common.progress)
        _emit(done, json)
        return 0 if done.holds else 1
    all_hold = True
    with common.stopping(common.OVERDUE_SECONDS) as stop:
        for done in schedule.take_every(seconds, settings, keep, stop.is_set, reconcile, incremental):
            _emit(done, json)
            all_hold &= done.holds or done.unknown is not None
    return 0 if all_hold else 1


def seconds_of(text: str) -> float:
    """The seconds of a period. Raises `UsageError` if it is none, or shorter than a second.

    >>> seconds_of("15m")
    900.0
    """
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)([smh]?)", text)
    seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if seconds < 1:
        raise UsageError(f"--every is {text!r}; allowed: at least a second, such as 900, 90s, 15m or 1h.")
    return seconds


def _emit(done: Checked, json: bool) -> None:
    from segmenter.cli.reconcile import report as comparison

    taken = done.taken
    report = {**taken.snapshot._asdict(), "removed": taken.removed, "seconds": taken.seconds, "unknown": done.unknown}
    compared = {"reconcile": comparison(taken.snapshot, done.verdict)} if done.verdict else {"reconcile": None}
    common.emit(report | compared, json, _show)


def _show(report: dict[str, Any]) -> None:
    from segmenter.cli.reconcile import show as show_comparison

    common.console.print(
        f"snapshot {report['snapshot_id']}: {report['users']:,} users, "
        f"generation {report['generation'] or 'none yet'}, in {report['seconds']:.1f} s"
        + (f"; removed {len(report['removed'])}" if report["removed"] else "")
    )
    if report["reconcile"]:
        show_comparison(report["reconcile"])
    if report["unknown"]:
        common.console.print(f"not compared: {report['unknown']}", markup=False, soft_wrap=True)
