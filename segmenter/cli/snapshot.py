"""`segmenter snapshot`: copy what the stream holds into the warehouse."""

from __future__ import annotations

import time
from typing import Any

from segmenter.cli import common


def snapshot(*, json: common.Json = False) -> None:
    """Copy every user's profile, features and segment into the warehouse, while the stream goes on."""
    from segmenter.operations import snapshot as snapshots

    began = time.monotonic()
    taken = snapshots.take(common.settings("redis_url", "warehouse_url"), time.time_ns() // 1_000_000)
    common.emit({**taken._asdict(), "seconds": round(time.monotonic() - began, 3)}, json, _show)


def _show(report: dict[str, Any]) -> None:
    common.console.print(
        f"snapshot {report['snapshot_id']}: {report['users']:,} users, "
        f"generation {report['generation'] or 'none yet'}, in {report['seconds']:.1f} s"
    )
