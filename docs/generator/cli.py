"""docs/cli.md: the help of each verb, as the command prints it."""

from __future__ import annotations

import io
from collections.abc import Iterator

from cyclopts import App
from rich.console import Console

from generator.source import GENERATED, table
from segmenter.cli import build

EXIT_CODES = {
    0: "done",
    1: "a promise does not hold: stream and batch differ, a topic was recreated, the log lost what is needed, dead "
    "letters are still invalid",
    2: "usage: an argument, a setting or a mapping is wrong",
    3: "a part cannot be reached",
    130: "interrupted",
}


def page() -> str:
    """The command, then every verb."""
    app = build()
    sections = [f"## segmenter {' '.join(verb)}\n\n{_help(app, verb)}" for verb in verbs(app)]
    return f"""{GENERATED}
# The command

{_help(app, ())}
Exit codes:

{table(("code", "meaning"), EXIT_CODES.items())}
An error is one line on standard error that says what was wrong, what is allowed and what to do. `--json` prints one
object on standard output; logs and progress go to standard error.

{chr(10).join(sections)}"""


def verbs(app: App, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words that call each verb; a group is one if it does something by itself."""
    for name in app:
        if name.startswith("-"):
            continue
        inner = list(verbs(app[name], (*above, name)))
        if app[name].default_command is not None:
            yield (*above, name)
        yield from inner


def _help(app: App, verb: tuple[str, ...]) -> str:
    printed = io.StringIO()
    app.help_print(verb, console=Console(file=printed, width=100, color_system=None, force_terminal=False))
    lines = [line.rstrip() for line in printed.getvalue().strip().splitlines()]
    return "```text\n" + "\n".join(lines) + "\n```\n"
