"""The helper that runs tasks beside a test."""

from __future__ import annotations

import threading

import pytest

from tests import threads
from tests.threads import ENDS_SECONDS, Threads


def test_tasks_are_run_at_once_and_answered_in_order() -> None:
    together = threading.Barrier(3, timeout=ENDS_SECONDS)

    def meet(number: int) -> int:
        together.wait()
        return -number

    with Threads() as pool:
        assert pool.map(meet, range(3)) == [0, -1, -2]


def test_what_a_task_raises_is_raised() -> None:
    with Threads() as pool, pytest.raises(LookupError, match="x"):
        pool.submit({}.__getitem__, "x").result()


def test_a_task_that_does_not_end_says_where_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(threads, "ENDS_SECONDS", 0.05)

    def linger() -> None:
        over.wait()

    try:
        with (
            pytest.raises(AssertionError, match=r"a thread does not end: .* wait < test_threads.py:\d+ linger"),
            Threads() as pool,
        ):
            pool.submit(linger)
    finally:
        over.set()
