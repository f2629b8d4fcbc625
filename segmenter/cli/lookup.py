"""`segmenter lookup`: which segment users are in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segmenter.cli import common

if TYPE_CHECKING:
    from segmenter.client import Answer


def lookup(*users: str, json: common.Json = False) -> None:
    """Show which segment each user is in, from which features, and how fresh the answer is.

    Parameters
    ----------
    users
        The ids, exactly as in the events.
    """
    import msgspec

    from segmenter.client import SegmentClient
    from segmenter.errors import UsageError

    if not users:
        raise UsageError("name at least one user: segmenter lookup USER ...")
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
