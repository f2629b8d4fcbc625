"""`segmenter dead-letters`: what was refused, and why."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from segmenter.cli import common


def dead_letters(*, limit: Annotated[int, Parameter(validator=Number(gte=0))] = 20, json: common.Json = False) -> None:
    """List the records that are no events: where each was, why it was refused, and what it held.

    Parameters
    ----------
    limit
        The most to list, the latest ones; the counts are of all.
    """
    import msgspec

    from segmenter import topics
    from segmenter.dead_letters import DeadLetter, decode

    settings = common.settings("kafka")
    topics.topic_ids(settings)
    topic = topics.dead_letter_topic(settings)
    letters: dict[bytes | None, DeadLetter] = {}
    there = [topic] if topics.has_topic(settings, topic) else []
    start, end = topics.beginnings(settings, there), topics.ends(settings, there)
    for records in topics.read_to(settings, start, end):
        letters |= {record.key: decode(record.value or b"") for record in records}
    latest = sorted(letters.values(), key=lambda letter: letter.timestamp_ms)[-limit:] if limit else []
    report = {
        "total": len(letters),
        "reasons": dict(Counter(letter.reason for letter in letters.values())),
        "letters": msgspec.to_builtins(latest),
    }
    common.emit(report, json, _show)


def _show(report: dict[str, Any]) -> None:
    for letter in report["letters"]:
        at = f"{letter['topic']} {letter['partition']}:{letter['offset']}"
        held = letter.get("value", letter.get("value_base64"))
        shown = "" if held is None else f" | {held[:120]!r}"
        text = f"{at} {letter['reason']}: {letter['detail']}{shown}"
        common.console.print(text, markup=False, soft_wrap=True)
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in report["reasons"].items())
    common.console.print(f"{report['total']:,} dead letters{': ' + reasons if reasons else ''}")
