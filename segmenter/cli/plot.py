"""`segmenter plot`: pictures of the latest snapshot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segmenter.cli import common


def plot(*, out: Path = Path("plots"), json: common.Json = False) -> None:
    """Draw the latest snapshot as PNG files: clicks against time on articles by segment, and the segments' sizes.

    Parameters
    ----------
    out
        The folder to write them into; files of the same names are replaced.
    """
    from segmenter.report import charts

    portrait = charts.read(common.settings("warehouse_url"))
    files = charts.draw(portrait, out)
    common.emit({**portrait.snapshot._asdict(), "files": [str(file) for file in files]}, json, _show)


def _show(report: dict[str, Any]) -> None:
    common.console.print(f"snapshot {report['snapshot_id']}, {report['users']:,} users:")
    for file in report["files"]:
        common.console.print(f"  {file}", markup=False, soft_wrap=True)
