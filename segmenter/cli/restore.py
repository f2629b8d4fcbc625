"""`segmenter restore`: write a snapshot back into Redis."""

from __future__ import annotations

import time
from typing import Any

from segmenter.cli import common


def restore(*, snapshot: int | None = None, replace: bool = False, json: common.Json = False) -> None:
    """Write the users, segments and offsets of a snapshot in the warehouse back into Redis.

    Stop the workers first. The next worker reads on from the offsets of the snapshot, so nothing is lost that the log
    still holds. If it is interrupted, run it again; until then workers refuse to start.

    Parameters
    ----------
    snapshot
        The number of the snapshot; by default the latest.
    replace
        Remove the users that Redis holds.
    """
    from segmenter.operations import restore as restoring

    began = time.monotonic()
    plan = restoring.restore(common.settings(), snapshot, replace, common.progress)
    report = {
        **plan.snapshot._asdict(),
        "age_ms": time.time_ns() // 1_000_000 - plan.snapshot.taken_ms,
        "offsets": {number: state.offsets for number, state in plan.states.items()},
        "to_come": plan.to_come,
        "seconds": round(time.monotonic() - began, 3),
    }
    common.emit(report, json, _show)


def _show(report: dict[str, Any]) -> None:
    common.console.print(
        f"restored snapshot {report['snapshot_id']}, taken {common.ago(report['age_ms'])}: {report['users']:,} users, "
        f"generation {report['generation'] or 'none yet'}, in {report['seconds']:.1f} s"
    )
    for shard, offsets in report["offsets"].items():
        common.console.print(f"  shard {shard}: {', '.join(f'{topic} {at:,}' for topic, at in offsets.items())}")
    common.console.print(
        f"start a worker: it reads on from these offsets, {report['to_come']:,} records before the log's end"
    )
