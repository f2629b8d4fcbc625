"""What every verb needs: the settings, a way to print, a progress bar, and an orderly end on a signal."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from segmenter import embedded, logs
from segmenter import settings as every_setting
from segmenter.settings import Settings

Json = Annotated[bool, Parameter(help="Print one JSON object instead.")]
"""The type of each verb's ``json`` option."""

console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
"""Standard output, for people."""


def settings(*parts: str, **arguments: Any) -> Settings:
    """The settings in force, with the addresses of the running stack in place of ``embedded``; logging is set up.

    ``parts`` are those that the verb needs, of ``kafka``, ``redis_url`` and ``warehouse_url`` (default: all).
    ``arguments`` override settings by name. Raises SettingsError and NoStack.
    """
    unresolved = every_setting.load(**arguments)
    logs.setup(unresolved.log_level)
    return embedded.resolve(unresolved, *parts)


def emit(data: dict[str, Any], as_json: bool, show: Callable[[dict[str, Any]], None]) -> None:
    """Print ``data`` as one JSON object on one line, or let ``show`` print it for people."""
    if as_json:
        print(json.dumps(data), flush=True)
    else:
        show(data)


def expect_many_objects() -> None:
    """Let the garbage collector look less often: a worker makes many small objects, and hardly any cycles."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@contextlib.contextmanager
def progress(description: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Count on standard error, by the function that is yielded: a bar at a terminal, else one line at the end."""
    errors = Console(stderr=True)
    if errors.is_terminal:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=errors) as bars:
            task = bars.add_task(description, total=total)
            yield lambda count: bars.advance(task, count)
        return
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count

    begun = time.monotonic()
    yield advance
    print(f"{description}: {done:,} in {time.monotonic() - begun:.1f} s", file=sys.stderr)


OVERDUE_SECONDS = 4.8
"""How long after SIGTERM a process that may be killed at any moment ends by itself, whatever it waits for."""


@contextlib.contextmanager
def stopping(overdue_seconds: float | None = None) -> Iterator[threading.Event]:
    """An event that SIGTERM and Ctrl-C set, for a loop that ends in its own time; a second Ctrl-C ends it at once.

    When the block is left after Ctrl-C, KeyboardInterrupt is raised: the command ends with 130. If it has not been left
    ``overdue_seconds`` after SIGTERM, the process ends as it stands, with 143.
    """
    stop, interrupted = threading.Event(), threading.Event()
    overdue = threading.Timer(overdue_seconds or 0, _end_as_it_stands)
    overdue.daemon = True

    def on_signal(number: int, _: object) -> None:
        if number == signal.SIGINT:
            if interrupted.is_set():
                raise KeyboardInterrupt
            interrupted.set()
        elif overdue_seconds is not None and overdue.ident is None:
            overdue.start()
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        overdue.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
    if interrupted.is_set():
        raise KeyboardInterrupt


def _end_as_it_stands() -> None:
    print("a part does not answer: ended in the middle, which loses nothing", file=sys.stderr, flush=True)
    os._exit(128 + signal.SIGTERM)


def ago(age_ms: int | None) -> str:
    """An age for people."""
    return "never" if age_ms is None else f"{age_ms / 1_000:,.1f} s ago"


def shown_gap(gap: dict[str, Any]) -> str:
    """A gap of the warehouse for people."""
    return (
        f"the warehouse lacks offsets {gap['first_pos']:,} to {gap['end_pos'] - 1:,} of topic {gap['topic']!r} "
        f"partition {gap['part']}"
    )
