"""`segmenter verify`: whether what is kept beside the rows is what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segmenter.cli import common
from segmenter.errors import UsageError
from segmenter.events import Rules

if TYPE_CHECKING:
    from segmenter.operations.integrity.verify import Findings
    from segmenter.store.connection import Store

SHOWN = 20
"""How many differences are printed; --json prints all."""


def verify(*, repair: bool = False, digest: bool = False, json: common.Json = False) -> int:
    """Compare census, audiences and counts with the rows, exactly; end with 1 if anything differs.

    A shard that is written to meanwhile is asked to be quiet, and is looked at again: its records wait in the log,
    about a second for 20,000 users. Whether the rows are what the events say is for `segmenter reconcile` to tell.

    Parameters
    ----------
    repair
        Put right what differs, by the shard's owner if it has one, and check again.
    digest
        Instead of checking, print SHA-256 digests of the aggregates of all users, of their whole rows without
        offsets, and of the census. They are exact while nobody writes.
    """
    if digest and repair:
        raise UsageError("--digest only tells: leave --repair out, or --digest.")
    if digest:
        return _digest(json)
    from segmenter.operations.integrity.repair import mend
    from segmenter.operations.integrity.verify import check

    store = _store(repair)
    found = check(store)
    differing = remaining = _all(found)
    report = {"shards": len(found), "users": sum(each.users for each in found.values()), "differences": differing}
    if repair:
        if differing:
            mend(store, [number for number, each in found.items() if each.differences])
            remaining = _all(check(store))
        report |= {"mended": len(differing) - len(remaining), "remaining": remaining}
    common.emit(report, json, _show)
    return 1 if remaining else 0


def _store(to_write: bool) -> Store:
    from segmenter.store.connection import Store, connect
    from segmenter.store.meta import check, claim, require_rules, require_whole

    settings = common.settings("redis_url")
    client = connect(settings)
    if to_write:
        claim(client, settings, Rules.of(settings))
    else:
        check(client, settings)
        require_rules(client, settings, Rules.of(settings))
        require_whole(client, settings)
    return Store(client, settings)


def _all(found: dict[int, Findings]) -> list[dict[str, Any]]:
    return [difference._asdict() for each in found.values() for difference in each.differences]


def _show(report: dict[str, Any]) -> None:
    found = report["differences"]
    _line(f"{report['shards']} shards, {report['users']:,} users, {len(found):,} differences")
    _list(found)
    if "remaining" in report and found:
        remaining = report["remaining"]
        _line(f"mended {report['mended']:,}, {len(remaining):,} remain")
        _list(remaining)
    if any(each["where"] == "counts" for each in report.get("remaining", found)):
        _line("rows are not what the events say: `segmenter reconcile --repair` puts them right")


def _list(differences: list[dict[str, Any]]) -> None:
    from segmenter.operations.integrity.differences import Difference

    for each in differences[:SHOWN]:
        _line(f"  {Difference(**each)}")
    if len(differences) > SHOWN:
        _line(f"  and {len(differences) - SHOWN:,} more: --json prints all")


def _line(text: str) -> None:
    common.console.print(text, markup=False, soft_wrap=True)


def _digest(json: bool) -> int:
    from segmenter.operations.integrity.digests import digest_of
    from segmenter.store.connection import connect
    from segmenter.store.meta import check

    settings = common.settings("redis_url")
    client = connect(settings)
    check(client, settings)
    common.emit(digest_of(client, settings)._asdict(), json, _show_digest)
    return 0


def _show_digest(report: dict[str, Any]) -> None:
    for name, value in report.items():
        common.console.print(f"{name:<10} {value if isinstance(value, str) else f'{value:,}'}", markup=False)
