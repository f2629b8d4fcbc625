"""List the invalid records, where each was and why it is invalid; or export, correct and replay them."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from cyclopts.validators import Number

from segmenter.cli import common

dead_letters = App(name="dead-letters")
STANDARD_OUTPUT = Path("-")


def _writable(kind: object, file: Path) -> None:
    if file == STANDARD_OUTPUT:
        return
    if file.name.startswith("-"):
        raise ValueError("There is no such option, and a file's name may not begin like one")
    if file.exists():
        raise ValueError("It exists and may have been corrected: name another file, or remove this one")


@dead_letters.default
def listed(*, limit: Annotated[int, Parameter(validator=Number(gte=0))] = 20, json: common.Json = False) -> None:
    """List the invalid records: where each was, why it is invalid, and what it held.

    Parameters
    ----------
    limit
        How many to list at most, the latest; the counts are of all.
    """
    import msgspec

    from segmenter.topics import read_dead_letters

    letters = read_dead_letters(common.settings("kafka"))
    report = {
        "total": len(letters),
        "reasons": dict(Counter(letter.reason for letter in letters)),
        "letters": msgspec.to_builtins(letters[-limit:] if limit else []),
    }
    common.emit(report, json, _show)


@dead_letters.command
def export(
    file: Annotated[Path, Parameter(allow_leading_hyphen=True, validator=_writable)], /, *, json: common.Json = False
) -> None:
    """Write every dead letter to a file, to be corrected: one JSON object per line, each record once, the oldest first.

    Correct the values, remove the lines that nobody needs, and publish the rest by `segmenter dead-letters replay`.
    The whole of a large value is read from its topic; if the log no longer holds it, the line says cut.

    Parameters
    ----------
    file
        The file to write. It must not exist, since it may hold somebody's corrections. - is standard output; the
        report then goes to standard error.
    """
    from segmenter.operations.dead_letters import export as exporting

    settings = common.settings("kafka")
    if file == STANDARD_OUTPUT:
        exported = exporting.export_to(settings, sys.stdout.buffer, common.progress)
    else:
        exported = exporting.export(settings, file, common.progress)
    with contextlib.redirect_stdout(sys.stderr if file == STANDARD_OUTPUT else sys.stdout):
        common.emit({"file": str(file), **exported._asdict()}, json, _show_export)


@dead_letters.command
def replay(file: Path, /, *, json: common.Json = False) -> int:
    """Publish the corrected lines of an exported file, each once; end with 1 if others are still invalid.

    A line is corrected when its value is an event. It is published as a new record of its topic, under its user's key,
    with its old position in the header dead-letter. What the topics already hold under that header is not published
    again: replay as often as you like, one at a time. To find this out, all records of these topics are read. If one
    line is not as export writes them, nothing is published.

    Parameters
    ----------
    file
        The corrected file.
    """
    from segmenter.operations.dead_letters import replay as replaying

    done = replaying.replay(common.settings("kafka"), file, int(time.time() * 1_000), common.progress)
    report = {"file": str(file), **done._asdict(), "still_invalid": [line._asdict() for line in done.still_invalid]}
    common.emit(report, json, _show_replay)
    return 1 if done.still_invalid else 0


def _show(report: dict[str, Any]) -> None:
    for letter in report["letters"]:
        at = f"{letter['topic']} {letter['partition']}:{letter['offset']}"
        held = letter.get("value", letter.get("value_base64"))
        shown = "" if held is None else f" | {held[:120]!r}"
        text = f"{at} {letter['reason']}: {letter['detail']}{shown}"
        common.console.print(text, markup=False, soft_wrap=True)
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in report["reasons"].items())
    common.console.print(f"{report['total']:,} dead letters{': ' + reasons if reasons else ''}")


def _show_export(report: dict[str, Any]) -> None:
    cut = f", {report['cut']:,} of them cut: the log no longer holds the whole value" if report["cut"] else ""
    common.console.print(f"exported {report['exported']:,} dead letters{cut}", markup=False)


def _show_replay(report: dict[str, Any]) -> None:
    for line in report["still_invalid"]:
        text = f"line {line['line']} {line['position']} {line['reason']}: {line['detail']}"
        common.console.print(text, markup=False, soft_wrap=True)
    common.console.print(
        f"published {report['published']:,}, published before {report['published_before']:,}, "
        f"still invalid {len(report['still_invalid']):,}"
    )
