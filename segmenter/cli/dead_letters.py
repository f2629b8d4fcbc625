"""List the records that are no events, where each was and why it was refused; or export, mend and replay them."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from cyclopts import App, Parameter
from cyclopts.validators import Number

from segmenter.cli import common
from segmenter.errors import UsageError

dead_letters = App(name="dead-letters")
STANDARD_OUTPUT = Path("-")


def _writable(kind: object, file: Path) -> None:
    if file == STANDARD_OUTPUT:
        return
    if file.name.startswith("-"):
        raise ValueError("There is no such option, and a file's name may not begin like one")
    if file.exists():
        raise ValueError("It exists and may have been mended: name another file, or remove this one")


@dead_letters.default
def listed(*, limit: Annotated[int, Parameter(validator=Number(gte=0))] = 20, json: common.Json = False) -> None:
    """List the records that are no events: where each was, why it was refused, and what it held.

    Parameters
    ----------
    limit
        The most to list, the latest ones; the counts are of all.
    """
    import msgspec

    from segmenter.topics.dead_letters import dead_letters as on_the_log

    letters = on_the_log(common.settings("kafka"))
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
    """Write every dead letter to a file to be mended: one JSON object a line, each record once, the oldest first.

    Mend the values, take out the lines that nobody needs, and publish the rest by `segmenter dead-letters replay`.
    The whole of a large value is fetched from its topic; where the log no longer holds it, the line says cut.

    Parameters
    ----------
    file
        The file to write, which must not exist: it may hold somebody's work. - is standard output; the report then
        goes to standard error.
    """
    from segmenter.operations.dead_letters.export import lines
    from segmenter.operations.dead_letters.lines import encode
    from segmenter.topics.dead_letters import dead_letters as on_the_log

    settings = common.settings("kafka")
    letters = on_the_log(settings)
    cut = 0
    with _written(file) as opened, common.progress("exporting", len(letters)) as advance:
        for line in lines(settings, letters):
            opened.write(encode(line) + b"\n")
            cut += line.cut
            advance(1)
    report = {"file": str(file), "exported": len(letters), "cut": cut}
    with contextlib.redirect_stdout(sys.stderr if file == STANDARD_OUTPUT else sys.stdout):
        common.emit(report, json, _show_export)


@dead_letters.command
def replay(file: Path, /, *, json: common.Json = False) -> int:
    """Publish the mended lines of an export as new records of their topics, each once; end with 1 if others are left.

    A line is mended when its value is an event now. It is published under its user's key, with its old position in
    the header dead-letter. Whatever the topics already hold under that header is not published again: run it as often
    as you like, one at a time. To find that, all records of these topics are read. A file with a line of another sort
    is refused as a whole.

    Parameters
    ----------
    file
        The mended file.
    """
    from producers.publish import publish
    from segmenter.operations.dead_letters.replay import find

    settings = common.settings("kafka")
    with common.progress("looking for what was published before") as advance:
        found = find(settings, file, int(time.time() * 1_000), advance)
    with common.progress("publishing", len(found.missing)) as advance:
        published = publish(settings, found.missing, advance).published
    report = {
        "file": str(file),
        "published": published,
        "published_before": found.before,
        "unmended": [line._asdict() for line in found.unmended],
    }
    common.emit(report, json, _show_replay)
    return 1 if found.unmended else 0


@contextlib.contextmanager
def _written(file: Path) -> Iterator[BinaryIO]:
    """The file to write to; it has its name only once it is whole."""
    if file == STANDARD_OUTPUT:
        yield sys.stdout.buffer
        return
    part = file.with_name(f"{file.name}.part")
    try:
        with part.open("wb") as opened:
            yield opened
        part.rename(file)
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}. Name a file in a folder of yours.") from None
    finally:
        part.unlink(missing_ok=True)


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
    for line in report["unmended"]:
        text = f"line {line['line']} {line['position']} {line['reason']}: {line['detail']}"
        common.console.print(text, markup=False, soft_wrap=True)
    common.console.print(
        f"published {report['published']:,}, published before {report['published_before']:,}, "
        f"unmended {len(report['unmended']):,}"
    )
