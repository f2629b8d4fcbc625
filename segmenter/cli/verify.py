"""`segmenter verify`: whether census, audiences and counts are what the rows say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segmenter.cli import common
from segmenter.errors import UsageError

if TYPE_CHECKING:
    from segmenter.operations.integrity.verify import Verification

SHOWN = 20
"""How many differences are printed; --json prints all."""


def verify(*, repair: bool = False, digest: bool = False, json: common.Json = False) -> int:
    """Compare census, audiences and counts with the rows, exactly; end with 1 if anything differs.

    A shard that is written to meanwhile is paused, and compared again: its records wait in the log, about a second for
    20,000 users. `segmenter reconcile` checks whether the rows are what the events say.

    Parameters
    ----------
    repair
        Repair what differs, by the shard's owner if it has one, and compare again. Counts that differ from the rows
        stay: only the events can show which of the two is wrong, so ``segmenter reconcile --repair`` repairs that.
    digest
        Instead of comparing, print SHA-256 digests of the aggregates of all users, of their whole rows without
        offsets, of the census, and of the audiences. They are exact while nobody writes to the store.
    """
    if digest and repair:
        raise UsageError("--digest only reads: leave --repair out, or --digest.")
    settings = common.settings("redis_url")
    if digest:
        from segmenter.operations.integrity.digests import digest_store

        common.emit(digest_store(settings)._asdict(), json, _show_digest)
        return 0
    if not repair:
        from segmenter.operations.integrity.verify import verify as verify_store

        found = remaining = verify_store(settings)
        common.emit(_report(found), json, _show)
    else:
        from segmenter.operations.integrity.repair import verify_and_repair

        found, remaining = verify_and_repair(settings)
        repaired = len(found.differences) - len(remaining.differences)
        report = _report(found) | {"repaired": repaired, "remaining": _report(remaining)["differences"]}
        common.emit(report, json, _show)
    return 1 if remaining.differences else 0


def _report(found: Verification) -> dict[str, Any]:
    return {**found._asdict(), "differences": [difference._asdict() for difference in found.differences]}


def _show(report: dict[str, Any]) -> None:
    found = report["differences"]
    _line(f"{report['shards']} shards, {report['users']:,} users, {len(found):,} differences")
    _list(found)
    if "remaining" in report and found:
        remaining = report["remaining"]
        _line(f"repaired {report['repaired']:,}, {len(remaining):,} remain")
        _list(remaining)
    if any(each["where"] == "counts" for each in report.get("remaining", found)):
        _line("counts or rows are not what the events say: `segmenter reconcile --repair` repairs them")


def _list(differences: list[dict[str, Any]]) -> None:
    from segmenter.operations.integrity.differences import Difference

    for each in differences[:SHOWN]:
        _line(f"  {Difference(**each)}")
    if len(differences) > SHOWN:
        _line(f"  and {len(differences) - SHOWN:,} more: --json prints all")


def _line(text: str) -> None:
    common.console.print(text, markup=False, soft_wrap=True)


def _show_digest(report: dict[str, Any]) -> None:
    for name, value in report.items():
        common.console.print(f"{name:<10} {value if isinstance(value, str) else f'{value:,}'}", markup=False)
