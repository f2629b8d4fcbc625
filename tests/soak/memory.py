"""How much memory each process takes, and how many files and sockets it has open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import psutil
import redis

from tests.soak.limits import GROWN_FILES, GROWN_MB, REDIS_GROWN_MB

MB = 1024 * 1024


class Use(NamedTuple):
    """What one process takes."""

    pid: int
    mb: float
    files: int


def uses(pids: Mapping[str, int]) -> dict[str, Use]:
    """What each process takes, by name."""
    found = {}
    for name, pid in pids.items():
        process = psutil.Process(pid)
        with process.oneshot():
            found[name] = Use(pid, process.memory_info().rss / MB, process.num_fds())
    return found


def redis_mb(url: str) -> float:
    """How much memory Redis takes for what it holds."""
    client = redis.Redis.from_url(url)
    try:
        return float(client.info("memory")["used_memory_dataset"]) / MB
    finally:
        client.close()


def grown(before: Mapping[str, Use], after: Mapping[str, Use]) -> Iterator[str]:
    """Which of the processes that are still the same take more than they may since before."""
    for name, now in after.items():
        then = before.get(name)
        if then is None or then.pid != now.pid:
            continue
        if now.mb > then.mb + GROWN_MB:
            yield f"the memory of {name} has grown from {then.mb:.1f} to {now.mb:.1f} MB with the same users"
        if now.files > then.files + GROWN_FILES:
            yield f"the open files of {name} have grown from {then.files} to {now.files}"


def redis_grown(before: float, after: float) -> Iterator[str]:
    """Whether Redis holds more than it may since before."""
    if after > before + REDIS_GROWN_MB:
        yield f"what Redis holds has grown from {before:.1f} to {after:.1f} MB with the same users"
