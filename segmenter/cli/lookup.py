"""`segmenter lookup`: which segment users are in, or were in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from segmenter.cli import common
from segmenter.errors import UsageError

if TYPE_CHECKING:
    from segmenter.client import Answer


def lookup(*users: str, at: str | None = None, json: common.Json = False) -> None:
    """Show which segment each user is in, from which features, and how fresh the answer is.

    Parameters
    ----------
    users
        The ids, exactly as in the events.
    at
        A time in the past, such as 2026-03-01T09:30 (in SEGMENTER_TIMEZONE) or 2026-03-01T09:30:00Z: show which segment
        this answer was then. It comes from the changes that `segmenter snapshot` keeps, and those still in Redis. It is
        unknown for a time of which some are lost.
    """
    import msgspec

    from segmenter.client import SegmentClient

    if not users:
        raise UsageError("name at least one user: segmenter lookup USER ...")
    if at is not None:
        return _look_back(users, at, json)
    with SegmentClient() as client:
        answers = client.lookup_many(users)
    common.emit({"users": msgspec.to_builtins(answers)}, json, lambda _: show(answers))


def show(answers: list[Answer]) -> None:
    """Print answers for people."""
    for answer in answers:
        common.console.print(f"{answer.user!r}: {answer.name}", markup=False, soft_wrap=True)
        if answer.aggregates:
            _line("features", {name: "missing" if v is None else f"{v:,.6g}" for name, v in answer.features.items()})
            _line("aggregates", answer.aggregates)
            _line("offsets", answer.offsets)
        age = f"complete up to {common.ago(answer.age_ms)}"
        judged = f"generation {answer.generation}, " if answer.generation else ""
        common.console.print(f"  {judged}{age}{', STALE' if answer.stale else ''}", markup=False)


def _line(title: str, values: dict[str, Any]) -> None:
    listed = ", ".join(f"{name} {value}" for name, value in values.items())
    common.console.print(f"  {title}: {listed}", markup=False, soft_wrap=True)


def _look_back(users: Sequence[str], at: str, json: bool) -> None:
    from segmenter.client import UNKNOWN
    from segmenter.operations.history.past import look_back

    settings = common.settings("redis_url", "warehouse_url")
    at_ms = time_of(at, settings.timezone)
    found, names = look_back(settings, users, at_ms)
    answers = [
        {
            "user": user,
            "known": past.segment is not None,
            "segment": UNKNOWN if past.segment is None else past.segment or None,
            "name": "Unknown" if past.segment is None else names.of(past.segment) if past.segment else None,
            "before": past.before and {"at_ms": past.before[0], "segment": past.before[1] or None},
            "after": past.after and {"at_ms": past.after[0], "segment": past.after[1] or None},
        }
        for user, past in zip(users, found, strict=True)
    ]
    common.emit({"at_ms": at_ms, "users": answers}, json, lambda report: _show_past(report, settings.timezone))


def time_of(text: str, timezone: str) -> int:
    """A time in ms since 1970; without an offset, it is in this time zone. Raises `UsageError`.

    >>> time_of("2026-03-01T09:30", "Europe/Berlin") == time_of("2026-03-01T08:30Z", "UTC")
    True
    """
    from datetime import datetime
    from zoneinfo import ZoneInfo

    try:
        time = datetime.fromisoformat(text)
        aware = time if time.tzinfo else time.replace(tzinfo=ZoneInfo(timezone))
        return round(aware.astimezone(ZoneInfo(timezone)).timestamp() * 1_000)
    except (ValueError, OverflowError):
        raise UsageError(f"--at is {text!r}; allowed: a time such as 2026-03-01T09:30 or 2026-03-01T09:30Z.") from None


def _show_past(report: dict[str, Any], timezone: str) -> None:
    for answer in report["users"]:
        said = (answer["name"] or "no events yet") if answer["known"] else "unknown"
        when = _written(report["at_ms"], timezone)
        common.console.print(f"{answer['user']!r}: {said} at {when}", markup=False, soft_wrap=True)
        if not answer["known"]:
            for words, fact in (("known before", answer["before"]), ("known after", answer["after"])):
                text = f"{fact['segment'] or 'no events'} at {_written(fact['at_ms'], timezone)}" if fact else "nothing"
                common.console.print(f"  {words}: {text}", markup=False, soft_wrap=True)


def _written(at_ms: int, timezone: str) -> str:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    time = datetime.fromtimestamp(at_ms / 1_000, ZoneInfo(timezone)).replace(tzinfo=None)
    return f"{time.isoformat(' ', 'seconds')} {timezone}"
