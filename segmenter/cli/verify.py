"""`segmenter verify`: what the store amounts to, from its rows."""

from __future__ import annotations

from typing import Any

from segmenter.cli import common


def verify(*, digest: bool = False, json: common.Json = False) -> int:
    """Print the digests.

    Parameters
    ----------
    digest
        Print SHA-256 digests, instead of checking: of the aggregates of all users, of their whole rows without
        offsets, and of the census.
    """
    return _digest(json)


def _digest(json: bool) -> int:
    from consumers.integrity import digest_of
    from segmenter.store.connection import check, connect

    settings = common.settings("redis_url")
    client = connect(settings)
    check(client, settings)
    common.emit(digest_of(client, settings)._asdict(), json, _show_digest)
    return 0


def _show_digest(report: dict[str, Any]) -> None:
    for name, value in report.items():
        common.console.print(f"{name:<10} {value if isinstance(value, str) else f'{value:,}'}", markup=False)
