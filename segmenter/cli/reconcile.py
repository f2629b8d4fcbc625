"""`segmenter reconcile`: prove that the stream equals the batch, or show where it does not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from segmenter.cli import common
from segmenter.errors import UsageError

if TYPE_CHECKING:
    from segmenter.operations.comparison import Example, Reconciliation
    from segmenter.warehouse import Snapshot


def reconcile(
    *,
    snapshot: int | None = None,
    wait: Annotated[float, Parameter(validator=Number(gte=0))] = 5,
    full: bool = False,
    repair: bool = False,
    json: common.Json = False,
) -> int:
    """Compare each user of a snapshot with the batch summary of the raw events; end with 1 if anything differs.

    What each shard has counted is compared, too. Where a shard differs and the warehouse lacks some of its events,
    since the log had lost them before they were loaded, it says so, and the exit code is 1: the proof has a hole there.

    Parameters
    ----------
    snapshot
        The number of the snapshot; the latest by default.
    wait
        How many seconds to wait for the sink to load all that the snapshot needs.
    full
        Sum up every raw event anew, and only read the warehouse. By default, new raw events are added to the batch
        summary, which is kept there, and users are compared with that.
    repair
        Take a snapshot, compare, and repair the rows of users who differ, unless there are new events of them, and the
        counts of shards that differ, by the shard's owner if it has one; then compare again, until nothing differs, a
        few times at most. During a repair, the records of the shard wait in the log. Shards with such a hole are left
        as they are: the batch does not know all their events.
    """
    if repair:
        if snapshot is not None:
            raise UsageError("--repair takes its own snapshots: leave --snapshot out.")
        return _repair(wait, full, json)
    from segmenter.operations.reconcile import reconcile as compare

    taken, result = compare(common.settings("warehouse_url"), snapshot, wait, full, common.progress)
    common.emit(report(taken, result), json, show)
    return 0 if result.equal else 1


def _repair(wait_s: float, full: bool, json: bool) -> int:
    from segmenter.operations.reconcile import reconcile_and_repair

    done = list(reconcile_and_repair(common.settings("redis_url", "warehouse_url"), wait_s, full, common.progress))
    last = done[-1]
    passes = [
        {**_numbers(each.result), **{name: getattr(each, name) for name in ("repaired", "moved_on", "repaired_counts")}}
        for each in done
    ]
    found = report(last.snapshot, last.result) | {"passes": passes}
    common.emit(found, json, show)
    return 0 if last.result.equal else 1


def report(taken: Snapshot, result: Reconciliation) -> dict[str, Any]:
    """A comparison as JSON can hold it."""
    age_ms = time.time_ns() // 1_000_000 - taken.taken_ms
    plain = {
        "examples": list(map(_plain, result.examples)),
        "counts": [difference._asdict() for difference in result.counts],
        "gaps": [gap._asdict() for gap in result.gaps],
    }
    return {**taken._asdict(), "age_ms": age_ms, **result._asdict(), **plain}


def _numbers(result: Reconciliation) -> dict[str, int]:
    return {name: getattr(result, name) for name in ("compared", "differing", "missing", "extra")}


def _plain(example: Example) -> dict[str, Any]:
    return {**example._asdict(), "user": example.user.decode(errors="backslashreplace")}


def show(report: dict[str, Any]) -> None:
    """Print a comparison for people."""
    from segmenter.events import shown
    from segmenter.operations.integrity.differences import Difference

    def line(text: str) -> None:
        common.console.print(text, markup=False, soft_wrap=True)

    for number, each in enumerate(report.get("passes", []), 1):
        line(f"pass {number}: " + ", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in each.items()))
    line(f"snapshot {report['snapshot_id']}, taken {report['age_ms'] / 1_000:,.0f} s ago, {report['users']:,} users")
    numbers = ", ".join(f"{name} {report[name]:,}" for name in ("compared", "differing", "missing", "extra"))
    differs = report["differing"] or report["missing"] or report["extra"] or report["counts"]
    but = ", as far as the warehouse knows" if report["gaps"] else ""
    line(f"{'STREAM AND BATCH DIFFER' if differs else f'stream = batch{but}'}: {numbers}")
    if report["summary_wrong"]:
        line("the batch summary is not what the raw events add up to: run `segmenter summary refresh --rebuild`")
    for gap in report["gaps"]:
        line(common.shown_gap(gap) + ": users with events there may differ")
    if report["in_gaps"]:
        line(f"of those who differ, {report['in_gaps']:,} may do so because of that")
    for example in report["examples"]:
        line(f"  {shown(example['user'].encode())} ({example['verdict']})")
        for name, (stream, batch) in example["fields"].items():
            line(f"    {name}: stream {_value(stream)}, batch {_value(batch)}")
    for each in report["counts"]:
        line(f"  {Difference(**each)}")


def _value(value: float | None) -> str:
    return "nothing" if value is None else f"{value:,}"
