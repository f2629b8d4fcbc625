"""Backoff: how long to wait before trying again what has just failed."""

from __future__ import annotations

import random

LONGEST_SECONDS = 5.0


def backoff_seconds(failures: int) -> float:
    """A random wait, on average longer with each failure in a row, so that many processes do not try again at once.

    Source: "full jitter", Exponential Backoff And Jitter, AWS Architecture Blog, 2015.
    """
    return random.uniform(0, min(LONGEST_SECONDS, 0.1 * 2.0 ** min(failures, 6)))
