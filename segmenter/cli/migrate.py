"""`segmenter migrate`: create or upgrade the schema of the warehouse."""

from __future__ import annotations

import time
from typing import Any

from segmenter.cli import common


def migrate(*, pending: bool = False, show: bool = False, json: common.Json = False) -> None:
    """Create the warehouse's tables, or bring them up to this version and these kinds; again, it changes nothing.

    Sink and snapshot do so themselves: use this verb where they run as a database user who may not change tables.

    Parameters
    ----------
    pending
        Only say what would be applied; change nothing.
    show
        Only print the SQL that would be executed; change nothing.
    """
    from segmenter import warehouse

    now_ms = time.time_ns() // 1_000_000
    with warehouse.connect(common.settings("warehouse_url")) as database:
        if show:
            common.emit({"statements": warehouse.to_come(database, now_ms)}, json, _show_statements)
            return
        done = [] if pending else warehouse.migrate(database, now_ms)
        report = {"done": done, "applied": warehouse.applied(database), "pending": warehouse.pending(database)}
    common.emit(report, json, _show)


def _show_statements(report: dict[str, Any]) -> None:
    for statement in report["statements"]:
        common.console.print(f"{statement};\n", markup=False, highlight=False, soft_wrap=True)


def _show(report: dict[str, Any]) -> None:
    for name in report["applied"]:
        common.console.print(f"{name}: {'applied now' if name in report['done'] else 'was applied before'}")
    for name in report["pending"]:
        common.console.print(f"{name}: pending")
