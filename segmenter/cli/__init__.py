"""The ``segmenter`` command: one file per verb, each loaded only when it is called.

Exit codes: 0 done; 1 a promise does not hold (or a defect, with its traceback); 2 usage, settings or mapping;
3 a part cannot be reached; 130 interrupted; 141 the reader of the output went away.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from cyclopts import App, CycloptsError, Group, Parameter

from segmenter import __version__
from segmenter.errors import SegmenterError

VERBS = {
    "Try it": ("demo",),
    "Parts": ("up", "down", "status", "migrate", "config"),
    "Events": ("generate", "replay", "dead-letters"),
    "Live": ("worker", "refit", "lookup", "segments", "rename", "restore"),
    "Users": ("users", "export"),
    "Proof": ("sink", "snapshot", "reconcile", "verify"),
    "Analysis": ("report", "summary", "cluster", "recommend"),
}
"""Every verb, by its heading in the help."""


def build() -> App:
    """The command with all its verbs; none is imported before it is called, nor for ``segmenter --help``."""
    app = App(
        name="segmenter",
        version=__version__,
        help="Keep every user in a behavioural segment, live, and prove that it equals the batch answer.",
        default_parameter=Parameter(negative=()),
        result_action="return_int_as_exit_code_else_zero",
        exit_on_error=False,
        print_error=False,
        suppress_keyboard_interrupt=False,
    )
    for heading, verbs in VERBS.items():
        group = Group.create_ordered(heading)
        for verb in verbs:
            name = verb.replace("-", "_")
            app.command(f"segmenter.cli.{name}:{name}", name=verb, group=group, help=_help(name))
    app.register_install_completion_command(help="Install completion for your shell.")
    return app


def main() -> None:
    """Run the command line and end the process with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(words: Sequence[str]) -> int:
    """Run a command line, and return its exit code."""
    try:
        code: int = build()(words)
        sys.stdout.flush()
    except (SegmenterError, CycloptsError) as error:
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        return error.exit_code if isinstance(error, SegmenterError) else 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return code


def _help(name: str) -> str | None:
    """The docstring of the verb's function, or of its module, read without importing it."""
    tree = ast.parse(Path(__file__).with_name(f"{name}.py").read_text("utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name)
    return ast.get_docstring(next(functions, tree))
