"""Keep the batch summary of each user up to date, from the raw events in the warehouse, and show it."""

from __future__ import annotations

import time
from typing import Any

from cyclopts import App

from segmenter.cli import common

summary = App(name="summary")


@summary.command
def refresh(*, rebuild: bool = False, json: common.Json = False) -> int:
    """Add the raw events that the sink has loaded since the last time to the batch summary of their users.

    The summary is the table user_summary; analysts read it as user_activity_summary. A refresh that is interrupted is
    continued by the next one. The exit code is 1 if raw events that were summed up are gone, or others have come in
    between: then only a rebuild makes it right.

    Parameters
    ----------
    rebuild
        Empty the summary first, and sum up every raw event anew.
    """
    from segmenter.operations.analysis.summary import refresh_summary

    began = time.monotonic()
    done = refresh_summary(common.settings("warehouse_url"), rebuild, common.progress)
    seconds = round(time.monotonic() - began, 3)
    common.emit({**done.refreshed._asdict(), "at_odds": done.at_odds, "seconds": seconds}, json, _show_refreshed)
    return 1 if done.at_odds else 0


@summary.command
def show(*users: str, json: common.Json = False) -> None:
    """Show what the batch summary says of users, as of its last refresh.

    Parameters
    ----------
    users
        The ids, exactly as in the events.
    """
    from segmenter.errors import UsageError
    from segmenter.operations.analysis.summary import read_summaries

    if not users:
        raise UsageError("name at least one user: segmenter summary show USER ...")
    found = read_summaries(common.settings("warehouse_url"), users)
    common.emit(found._asdict(), json, _show)


def _show_refreshed(report: dict[str, Any]) -> None:
    common.console.print(
        f"{report['events']:,} new raw events, {report['duplicates']:,} of them duplicates; "
        f"{report['user_rows']:,} rows of users written, in {report['seconds']:.1f} s"
    )
    if report["at_odds"]:
        line = "THE RAW EVENTS ARE NOT AS MANY AS WERE SUMMED UP: run `segmenter summary refresh --rebuild`"
        common.console.print(line, soft_wrap=True)


def _show(report: dict[str, Any]) -> None:
    for user, row in report["users"].items():
        common.console.print(f"{user!r}{'' if row else ': not in the summary'}", markup=False, soft_wrap=True)
        for name, value in (row or {}).items():
            common.console.print(f"  {name}: {'-' if value is None else value}", markup=False)
    if report["waiting"]:
        line = f"{report['waiting']:,} offsets of raw events are not summed up yet: run `segmenter summary refresh`"
        common.console.print(line, soft_wrap=True)
