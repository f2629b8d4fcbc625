"""`segmenter demo`: raw events become live segments that equal the batch answer, on parts of its own."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.table import Table

from segmenter.cli import common
from segmenter.errors import UsageError

if TYPE_CHECKING:
    from producers.messages import Message, Refused
    from segmenter.client import Answer

Positive = Number(gte=1)


def demo(
    *,
    input: Path | None = None,
    mapping: Path | None = None,
    events: Annotated[int, Parameter(validator=Positive)] = 100_000,
    users: Annotated[int, Parameter(validator=Positive)] = 3_000,
    out: Path = Path("demo"),
    json: common.Json = False,
) -> int:
    """Publish events, segment their users live, and prove that this equals the batch; end with 1 if it does not.

    It brings its own broker, Redis and SQLite file, and leaves nothing running.

    Parameters
    ----------
    input
        A recorded file to replay instead of synthetic events.
    mapping
        The TOML file that says how its rows become events; see examples/mappings/.
    events
        The number of synthetic events.
    users
        The number of users they belong to.
    out
        The folder for the report.
    """
    import msgspec

    from segmenter import logs
    from segmenter.operations.demo import run_on_private_parts

    source, total = _source(input, mapping, events, users)
    kinds = _kinds(mapping)
    off = _of_those_off(kinds)
    if not any(kinds.values()):
        raise UsageError(f"no kind of the mapping is on. {off}")
    if not json:
        common.console.print(f"kinds that are on: {', '.join(name for name, on in kinds.items() if on)}. {off}")
    logs.setup("warning")
    common.expect_many_objects()
    found, answers = run_on_private_parts(source, total, out, common.progress)
    report = msgspec.to_builtins(found) | {"kinds": kinds}
    common.emit(report, json, lambda report: _show(report, answers))
    return 0 if found.equal else 1


def _kinds(mapping: Path | None) -> dict[str, bool]:
    """Whether each kind is on: of those that the mapping names, or of all that are."""
    from producers.recorded.mapping_file import load as load_mapping
    from segmenter.settings import load

    on = [kind.name for kind in load().kinds]
    named = on if mapping is None else load_mapping(mapping, load().kinds).kinds()
    return {name: name in on for name in named}


def _of_those_off(kinds: dict[str, bool]) -> str:
    """A sentence about the kinds that are off, and how to turn them on; empty if there are none."""
    from segmenter.settings import load

    off = [name for name, on in kinds.items() if not on]
    every = ",".join([*[kind.name for kind in load().kinds], *off])
    return f"Kinds that are off: {', '.join(off)}; SEGMENTER_KINDS={every} turns them on." if off else ""


def _source(
    input: Path | None, mapping: Path | None, events: int, users: int
) -> tuple[Iterable[Message | Refused], int | None]:
    """The messages to publish, and how many there will be if that is known."""
    from segmenter.settings import load

    if input is None and mapping is None:
        from producers.synthetic.generator import generate

        return generate(events, users, seed=1, kinds=load().kinds), events
    if input is None or mapping is None:
        raise UsageError("--input and --mapping go together: the mapping says how the rows of the file become events.")
    from producers.recorded.replay import ReplayOptions, messages
    from segmenter.events import Rules

    return messages(input, mapping, Rules.of(load()), time.time_ns() // 1_000_000, ReplayOptions()), None


def _show(report: dict[str, Any], answers: list[Answer]) -> None:
    from segmenter.cli.lookup import show

    line = common.console.print
    line(f"\n{report['events']:,} events of {report['users']:,} users, {report['events_per_second']:,} a second")
    table = Table("segment")
    for title in ("users", "share", *report["segments"][0]["means"]):
        table.add_column(title.replace("_", " "), justify="right")
    for row in report["segments"]:
        means = ["-" if mean is None else f"{mean:,.1f}" for mean in row["means"].values()]
        table.add_row(row["name"], f"{row['users']:,}", f"{row['share']:.1%}", *means)
    line(table)
    line("stream - batch: " + ", ".join(f"{name} {count:,}" for name, count in report["reconcile"].items()))
    n = {name: f"{count:,}" for name, count in report["sums"].items()}
    line(f"read {n['read']} = published {n['published']} + refused {n['refused']}")
    for reason, rows in report["refused"].items():
        line(f"  refused {rows:,}: {reason}", markup=False)
    line(f"published = folded {n['folded']} + duplicates {n['duplicates']} + dead letters {n['dead_letters']}")
    line(f"folded + duplicates = raw rows {n['raw_rows']}")
    line("everything adds up\n" if report["equal"] else "THIS DOES NOT ADD UP\n")
    show(answers)
    page = Path(report["files"][0]).resolve().as_uri()
    common.console.print(f"\nThe report is a page to look at: {page}", markup=False, soft_wrap=True)
