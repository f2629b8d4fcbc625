"""`segmenter sink`: load the log's events into the warehouse."""

from __future__ import annotations

from typing import Any

from segmenter.cli import common


def sink(*, once: bool = False, skip_gap: bool = False, json: common.Json = False) -> None:
    """Load every event of the log into the warehouse's raw tables, each exactly once, until stopped.

    Parameters
    ----------
    once
        Load what the log holds now, then end.
    skip_gap
        Go on where the log begins if it no longer holds the events after the last one loaded, and record the gap, which
        ``segmenter reconcile`` names from then on. Without this it is an error.
    """
    from consumers import sink as sinks

    with common.stopping(common.OVERDUE_SECONDS) as stop, common.progress("loading") as advance:
        result = sinks.run(common.settings("kafka", "warehouse_url"), once, advance, stop.is_set, skip_gap)
    common.emit(result._asdict(), json, _show)


def _show(report: dict[str, Any]) -> None:
    total, seconds = sum(report["loaded"].values()), report["seconds"]
    tables = ", ".join(f"{topic} {count:,}" for topic, count in sorted(report["loaded"].items()))
    common.console.print(f"loaded {total:,} events in {seconds:.1f} s ({total / max(seconds, 0.001):,.0f} a second)")
    common.console.print(f"by topic: {tables or 'nothing new'}")
    if report["invalid"]:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(report["invalid"].items()))
        common.console.print(f"skipped {sum(report['invalid'].values()):,} invalid records: {reasons}")
