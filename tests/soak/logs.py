"""What the processes have logged: a warning that nobody expects is a fault, and so is a line that is no log line."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple


class Expected(NamedTuple):
    """A warning that may come, and why that is no fault."""

    who: str
    """A pattern of the process' name."""
    event: str
    reason: str
    """A pattern of its reason; empty for any."""
    why: str


AT_THE_BEGINNING = (
    Expected(
        "snapshotter",
        "a snapshot was not taken, or old ones were not removed",
        "nothing to take a snapshot of",
        "no event has come yet",
    ),
)
"""Only in the first phase."""

AFTER_A_RESTART = (
    Expected(
        "worker .",
        "joining the group again",
        "shard .* has another owner|no longer as it was left",
        "a worker that is started, or ends, moves shards: who still has one of these is told by the next write",
    ),
    Expected(
        "snapshotter",
        "a snapshot was not taken, or old ones were not removed",
        "changed owners",
        "each of its tries fell into a moment in which a shard changed owners; the next one is taken",
    ),
)
"""Only in a phase in which processes are started or ended."""


PLAIN = re.compile(r"(taking in|loading): [\d,]+ in [\d.]+ s$")
"""What a command prints to standard error at its end."""


class Logs:
    """The logs of a folder, read on from where they were read last."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}
        self.published: Counter[str] = Counter()
        """How many generations the workers have published, by cause."""

    def unexpected(self, allowed: Collection[Expected]) -> Iterator[str]:
        """The warnings since the last time that are none of the allowed ones, and what is no log line."""
        for path in sorted(self._folder.glob("*.log")):
            for line in self._fresh(path):
                entry = _parsed(line)
                if entry is None:
                    if not PLAIN.fullmatch(line):
                        yield f"{path.stem} says: {line[:300]}"
                    continue
                if entry.get("event") == "new generation":
                    self.published[entry["cause"]] += 1
                if entry.get("level") in ("warning", "error", "critical") and not any(
                    re.fullmatch(each.who, path.stem)
                    and each.event == entry["event"]
                    and re.search(each.reason, str(entry.get("reason", "")))
                    for each in allowed
                ):
                    yield f"{path.stem} warns: {line[:300]}"

    def _fresh(self, path: Path) -> list[str]:
        """The whole lines since the last time."""
        content = path.read_bytes()
        end = content.rfind(b"\n") + 1
        fresh = content[self._read.get(path, 0) : end]
        self._read[path] = end
        return fresh.decode(errors="replace").splitlines()


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
