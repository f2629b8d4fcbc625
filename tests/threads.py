"""Tasks that go on beside a test, in threads. One that does not end is an error that says where it stands."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, TypeVar

Result = TypeVar("Result")

ENDS_SECONDS = 120.0
"""Within this time a task has to end once it is to."""


class Running(Future[Result]):
    """A task that runs in a thread of its own."""

    def __init__(self, task: Callable[..., Result], *arguments: Any, **named: Any) -> None:
        super().__init__()
        self._thread = threading.Thread(target=self._run, args=(task, arguments, named), daemon=True)
        self._thread.start()

    def _run(self, task: Callable[..., Result], arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        try:
            self.set_result(task(*arguments, **named))
        except BaseException as error:
            self.set_exception(error)

    def result(self, timeout: float | None = ENDS_SECONDS) -> Result:
        """What the task returns or raises. Raises `AssertionError` if it does not end."""
        try:
            return super().result(timeout)
        except TimeoutError:
            if self.done():
                raise
            raise AssertionError(f"a thread does not end: {self.stands()}") from None

    def stands(self) -> str:
        """Where the thread is, the innermost call first."""
        frame = sys._current_frames().get(self._thread.ident or 0)
        calls = reversed(traceback.extract_stack(frame)) if frame else []
        return " < ".join([f"{call.filename.rpartition('/')[2]}:{call.lineno} {call.name}" for call in calls])


class Threads:
    """Runs tasks; the block ends when all of them have ended."""

    def __init__(self) -> None:
        self._running: list[Running[Any]] = []

    def submit(self, task: Callable[..., Result], *arguments: Any, **named: Any) -> Running[Result]:
        """Start a task."""
        running = Running(task, *arguments, **named)
        self._running.append(running)
        return running

    def map(self, task: Callable[[Any], Result], arguments: Iterable[Any]) -> list[Result]:
        """Run a task for each argument, all at once."""
        return [running.result() for running in [self.submit(task, argument) for argument in arguments]]

    def __enter__(self) -> Threads:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for running in self._running:
            try:
                running.exception(ENDS_SECONDS)
            except TimeoutError:
                running.result(0)
