"""`segmenter replay`: publish the events of a recorded file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number

from segmenter import settings
from segmenter.cli import common
from segmenter.events import Rules

if TYPE_CHECKING:
    from producers.messages import Message, Refused, RefusedRows
    from producers.recorded.replay import ReplayOptions

Rows = Number(gte=1)


def _positive(kind: object, value: object) -> None:
    if isinstance(value, float) and not value > 0:
        raise ValueError("must be a number above 0, or max")


def replay(
    file: Path,
    /,
    *,
    mapping: Path,
    speed: Annotated[float | Literal["max"], Parameter(validator=_positive)] = "max",
    rebase: Literal["now"] | None = None,
    limit: Annotated[int | None, Parameter(validator=Rows)] = None,
    preview: Annotated[int | None, Parameter(validator=Rows)] = None,
    json: common.Json = False,
) -> None:
    """Publish the events of a recorded file: CSV, JSON Lines or Parquet, plain or gzipped.

    Rows that cannot become an event are counted and listed by reason; the replay goes on.

    Parameters
    ----------
    file
        The recorded file; gzipped when its name ends in .gz.
    mapping
        A TOML file that says how rows become events; see examples/mappings/.
    speed
        How many times as fast as it happened, any number above 0; max is as fast as the brokers take it. Anything
        but max holds the whole file in memory and publishes in the order of the times.
    rebase
        now moves all times by the same amount, so that the newest event happens now. Holds the whole file in memory.
    limit
        Read this many rows at most.
    preview
        Print the first events as they would be published, and publish nothing. Needs no stack.
    """
    from producers.recorded.replay import ReplayOptions

    newest_ms = int(time.time() * 1_000) if rebase else None
    options = ReplayOptions(None if isinstance(speed, str) else speed, newest_ms, limit)
    if preview is None:
        common.emit(_publish(file, mapping, options), json, _show)
    else:
        common.emit(_preview(file, mapping, options._replace(speed=None), preview), json, _show_preview)


def _publish(file: Path, mapping: Path, options: ReplayOptions) -> dict[str, Any]:
    from producers.publish import publish

    found = common.settings("kafka")
    messages = _messages(file, mapping, options, found)
    with common.progress("publishing") as advance:
        published = publish(found, messages, advance)
    return {
        "file": str(file),
        "read": published.read,
        "published": published.published,
        "refused": _told(published.refused),
        "durations": _durations(mapping, found),
        "seconds": round(published.seconds, 3),
    }


def _preview(file: Path, mapping: Path, options: ReplayOptions, count: int) -> dict[str, Any]:
    from producers.messages import Refused, count_refused

    found = settings.load()
    preview: list[dict[str, Any]] = []
    refused: dict[str, RefusedRows] = {}
    for each in _messages(file, mapping, options, found):
        if isinstance(each, Refused):
            count_refused(refused, each)
            continue
        value = msgspec.json.decode(each.value or b"")
        preview.append({"topic": found.topic_prefix + each.topic, "key": each.key.decode(), "value": value})
        if len(preview) == count:
            break
    return {"file": str(file), "preview": preview, "refused": _told(refused), "durations": _durations(mapping, found)}


def _told(refused: dict[str, RefusedRows]) -> dict[str, Any]:
    return {reason: tally._asdict() for reason, tally in refused.items()}


def _messages(
    file: Path, mapping: Path, options: ReplayOptions, found: settings.Settings
) -> Iterator[Message | Refused]:
    from producers.recorded.replay import messages

    return messages(file, mapping, Rules.of(found), int(time.time() * 1_000), options)


def _durations(mapping: Path, found: settings.Settings) -> str:
    from producers.recorded.mapping_file import load

    duration = load(mapping, found.kinds).duration
    if duration.derive is not None:
        return f"derived, not measured: until the next event of the same session, at most {duration.cap_s} s"
    return "none" if duration.column is None else f"from column {duration.column}"


def _show(report: dict[str, Any]) -> None:
    refused = sum(tally["rows"] for tally in report["refused"].values())
    rate = report["published"] / max(report["seconds"], 0.001)
    common.console.print(
        f"read {report['read']:,} = published {report['published']:,} + refused {refused:,}, "
        f"in {report['seconds']:.1f} s ({rate:,.0f} a second)"
    )
    _show_refused(report)


def _show_preview(report: dict[str, Any]) -> None:
    for event in report["preview"]:
        value = msgspec.json.encode(event["value"]).decode()
        common.console.print(f"{event['topic']}  {event['key']}  {value}", markup=False, soft_wrap=True)
    _show_refused(report)


def _show_refused(report: dict[str, Any]) -> None:
    for reason, tally in report["refused"].items():
        rows = ", ".join(map(str, tally["first"]))
        line = f"  refused {tally['rows']:,}: {reason}. First rows {rows}: {tally['detail']}"
        common.console.print(line, markup=False, soft_wrap=True)
    common.console.print(f"durations: {report['durations']}", markup=False)
