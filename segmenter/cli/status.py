"""`segmenter status`: how far everything is, and whether it is well."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from rich.table import Table

from segmenter.cli import common
from segmenter.errors import Unreachable

if TYPE_CHECKING:
    from segmenter.operations.health import Role
    from segmenter.operations.status import Status, Window


def status(*, check: Literal["worker", "sink", "all"] | None = None, json: common.Json = False) -> int:
    """Show how far worker and sink have read, how fresh the segments are, what is invalid, and what is away.

    A part that cannot be reached does not hide the others, and makes the exit code 3.

    Parameters
    ----------
    check
        For health checks: print one line for each problem of this role, and nothing else. worker asks Redis alone,
        sink the warehouse alone, all every part. The exit code is 3 if such a part cannot be reached, 1 if a shard is
        parked, since what Redis holds of it is corrupt, or the role is stuck: silent (a worker for
        ``SEGMENTER_STALE_AFTER_MS``, a sink for 30 s), or for 60 s neither at the end of the log nor moving on.
    """
    if check is not None:
        return _check(check, json)
    import msgspec

    from segmenter.operations.status import read_status

    found = read_status(common.settings())
    common.emit(msgspec.to_builtins(found), json, lambda _: show(found))
    return 3 if found.unreachable else 0


def _check(role: Role, json: bool) -> int:
    from segmenter.operations.health import problems

    parts = {"worker": ["redis_url"], "sink": ["warehouse_url"], "all": []}
    try:
        lines, code = problems(common.settings(*parts[role]), role), 0
    except Unreachable as reason:
        lines, code = str(reason).splitlines(), reason.exit_code
    common.emit({"problems": lines}, json, lambda _: print(*lines, sep="\n", end="\n" if lines else ""))
    return code or (1 if lines else 0)


def show(found: Status) -> None:
    """Print a status for people."""
    for part, address in found.parts.items():
        common.console.print(f"{part}: {address}", markup=False, soft_wrap=True)
    for part, away in found.unreachable.items():
        common.console.print(f"{part} is away{_since(away.since_ms)}: {away.reason}", markup=False, soft_wrap=True)
    invalid = None if found.dead_letters is None else sum(found.dead_letters.values())
    common.console.print(
        f"{_count(found.users)} users by generation {_count(found.generation)}; of {_count(found.published)} "
        f"records {_count(found.folded)} folded, {_count(found.duplicates)} duplicates, "
        f"{_count(invalid)} dead letters, {_count(found.lag)} to come, {_count(found.sink_lag)} to be loaded; "
        f"{_count(found.fenced)} writes fenced"
    )
    if "kafka" not in found.unreachable:
        common.console.print(_window(found.duplicate_window))
    if found.sink is not None:
        complete, heartbeat = common.ago(found.sink.age_ms), common.ago(found.sink.beat_age_ms)
        common.console.print(f"sink: complete up to {complete}, heartbeat {heartbeat}")
    table = Table("shard")
    for title in ("users", "lag", "sink lag", "complete up to", "last commit", "heartbeat", "fenced", "generation"):
        table.add_column(title, justify="right")
    for shard in found.shards:
        table.add_row(
            str(shard.shard),
            *map(_count, (shard.users, shard.lag, shard.sink_lag)),
            *map(common.ago, (shard.age_ms, shard.commit_age_ms, shard.beat_age_ms)),
            *map(_count, (shard.fenced, shard.generation)),
        )
    common.console.print(table)
    for what, shards in found.waiting.items():
        others = ", ".join(map(str, shards))
        common.console.print(
            f"{what} waits for the workers of shards {others}: restart them with the same settings", markup=False
        )
    for shard in found.shards:
        if shard.problem:
            common.console.print(f"shard {shard.shard} {shard.problem}", markup=False, soft_wrap=True)


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _since(since_ms: int | None) -> str:
    if since_ms is None:
        return ", since when is not known"
    at = datetime.fromtimestamp(since_ms / 1_000, UTC)
    ago_ms = (datetime.now(UTC) - at) / timedelta(milliseconds=1)
    return f", last reached at {at:%Y-%m-%d %H:%M:%S} UTC, {common.ago(max(0, int(ago_ms)))}"


def _window(window: Window) -> str:
    spans = "its whole log" if window.spans_ms is None else f"the last {_duration(window.spans_ms)} or more"
    return f"a repeated event id counts once within {window.records:,} records of its topic and partition: now {spans}"


def _duration(ms: int) -> str:
    """A length of time for people, by its two greatest units.

    >>> _duration(11_523_000)
    '3 h 12 min'
    """
    seconds = ms // 1_000
    parts = {"d": seconds // 86_400, "h": seconds // 3_600 % 24, "min": seconds // 60 % 60, "s": seconds % 60}
    first = next((index for index, count in enumerate(parts.values()) if count), len(parts) - 1)
    return " ".join(f"{count} {unit}" for unit, count in list(parts.items())[first : first + 2])
