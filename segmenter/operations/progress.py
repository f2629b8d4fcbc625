"""How an operation of several stages reports its progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Progress = Callable[[str, int | None], AbstractContextManager[Callable[[int], None]]]
"""Called with the name of a stage and how much there is to do, None if that is unknown. The context that it returns
lasts as long as the stage, and gives a function to call with how much more has been done."""


@contextmanager
def silent(stage: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A `Progress` that reports nothing."""
    yield lambda count: None
