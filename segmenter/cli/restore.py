"""`segmenter restore`: write a snapshot, or what the raw events add up to, into Redis."""

from __future__ import annotations

import time
from typing import Any

from segmenter.cli import common
from segmenter.errors import UsageError


def restore(
    *, snapshot: int | None = None, from_raw: bool = False, replace: bool = False, json: common.Json = False
) -> None:
    """Write the users, segments and offsets of a snapshot in the warehouse back into Redis.

    Stop the workers first. The next worker reads on from these offsets, so nothing is lost that the log still holds. If
    it is interrupted, run it again; until then workers refuse to start.

    Parameters
    ----------
    snapshot
        The number of the snapshot; by default the latest.
    from_raw
        Use no snapshot, but sum up the raw events in the warehouse, up to the offsets of the sink. Users are judged by
        the model of the latest snapshot; without one they are unassigned until the next refit.
    replace
        Remove the users that Redis holds.
    """
    if from_raw and snapshot is not None:
        raise UsageError("--from-raw uses no snapshot: leave --snapshot out, or --from-raw.")
    from segmenter.operations.restore import restore as restore_snapshot
    from segmenter.operations.restore_from_raw import restore_from_raw

    began, settings = time.monotonic(), common.settings()
    if from_raw:
        plan = restore_from_raw(settings, replace, common.progress)
    else:
        plan = restore_snapshot(settings, snapshot, replace, common.progress)
    age_ms = time.time_ns() // 1_000_000 - plan.snapshot.taken_ms if plan.snapshot else None
    report = {
        "snapshot_id": plan.snapshot.snapshot_id if plan.snapshot else None,
        "taken_ms": plan.snapshot.taken_ms if plan.snapshot else None,
        "age_ms": age_ms,
        "generation": plan.generation.number if plan.generation else 0,
        "users": plan.users,
        "offsets": {number: state.offsets for number, state in plan.states.items()},
        "gaps": [gap._asdict() for gap in plan.gaps],
        "to_come": plan.to_come,
        "seconds": round(time.monotonic() - began, 3),
    }
    common.emit(report, json, _show)


def _show(report: dict[str, Any]) -> None:
    line = common.console.print
    source = f"snapshot {report['snapshot_id']}, taken {common.ago(report['age_ms'])}"
    line(
        f"restored {source if report['snapshot_id'] else 'the raw events'}: {report['users']:,} users, "
        f"generation {report['generation'] or 'none yet'}, in {report['seconds']:.1f} s"
    )
    for shard, offsets in report["offsets"].items():
        line(f"  shard {shard}: {', '.join(f'{topic} {at:,}' for topic, at in offsets.items())}")
    if not report["snapshot_id"]:
        line("invalid records are not among the raw events: those after the latest snapshot are not counted")
    for gap in report["gaps"]:
        line(common.shown_gap(gap) + ": no user has them")
    line(f"start a worker: it reads on from these offsets, {report['to_come']:,} records before the log's end")
