"""`segmenter report`: the latest snapshot as a page that anybody can open, and as pictures."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from segmenter.cli import common


def report(*, out: Path = Path("report"), json: common.Json = False) -> None:
    """Write what the warehouse knows of the latest snapshot as one page of HTML, and its charts as PNG files.

    The page needs no other file and no network. What it shows, and how each number is found: docs/report.md.

    Parameters
    ----------
    out
        The folder to write them into; files of the same names are replaced.
    """
    from segmenter.operations.report import report as write

    settings = common.settings("warehouse_url")
    written = write(settings, out, time.time_ns() // 1_000_000, common.progress)
    report = {
        **written.facts.snapshot._asdict(),
        "files": [str(file) for file in written.files],
        "findings": written.findings,
    }
    common.emit(report, json, _show)


def _show(report: dict[str, Any]) -> None:
    for finding in report["findings"].values():
        common.console.print(f"- {finding}", markup=False, soft_wrap=True)
    page, *pictures = report["files"]
    common.console.print(f"{len(pictures)} pictures in {Path(page).parent}", markup=False, soft_wrap=True)
    common.console.print(f"open {Path(page).resolve().as_uri()}", markup=False, soft_wrap=True)
