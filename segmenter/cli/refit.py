"""`segmenter refit`: fit the segments afresh now."""

from __future__ import annotations

import time
from typing import Any

from segmenter.cli import common


def refit(*, json: common.Json = False) -> None:
    """Fit the segments afresh on the present users, and adopt them if they are better by a margin."""
    from consumers.trainer.refit import refit_now

    adopted, generation = refit_now(common.settings("redis_url"), time.time_ns() // 1_000_000)
    common.emit({"adopted": adopted, "generation": generation}, json, _show)


def _show(report: dict[str, Any]) -> None:
    if report["adopted"]:
        common.console.print(f"adopted as generation {report['generation']}; workers judge all users again")
    elif report["generation"]:
        common.console.print(f"generation {report['generation']} stays: a refit is not better by the margin")
    else:
        common.console.print("there are no users yet")
