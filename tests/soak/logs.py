"""What the processes have logged: a warning that nobody expects is a fault, and so is a line that is no log line."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple


class Expected(NamedTuple):
    """A warning that may come, so many times in a phase at most, and why that is no fault."""

    who: str
    """A pattern of the process' name."""
    event: str
    """A pattern of what it says."""
    reason: str
    """A pattern of its reason."""
    most: int
    why: str


_JOINING = "worker .", "joining the group again"
_NO_SNAPSHOT = "snapshotter", "a snapshot was not taken, or old ones were not removed"
_FAREWELL = Expected(
    "worker .",
    "LeaveGroup request failed: KafkaTimeoutError.*",
    "",
    2,
    "a busy broker does not answer a farewell within a second; then the session of the member runs out",
)

_UNANSWERED = "does not answer as it should|did not give"
_SLOW = (
    Expected(
        "worker .",
        "Kafka does not say where the log ends",
        _UNANSWERED,
        5,
        "the machine is so busy that the broker takes seconds to answer: this heartbeat makes nothing fresher",
    ),
    Expected("sink", "Kafka does not tell where the log ends", _UNANSWERED, 5, "the same, of the sink"),
    Expected(
        "worker .",
        "shards released",
        _UNANSWERED,
        5,
        "the machine is so busy that a part does not answer in time: the worker acquires its shards again",
    ),
    Expected("sink", "trying again", _UNANSWERED, 5, "the same, of the sink, which begins again from where it was"),
)

AT_ANY_TIME = (
    _FAREWELL,
    Expected(
        *_JOINING,
        "has another owner|no longer as it was left",
        2,
        "the machine is so busy that a worker is not heard of for the six seconds of its session",
    ),
    *_SLOW,
)
AT_THE_BEGINNING = (
    _FAREWELL,
    Expected(
        *_JOINING,
        "has another owner|no longer as it was left|rebalancing without end|moved to the group",
        10,
        "the workers join one after the other, and the embedded broker may lose count",
    ),
    Expected(*_NO_SNAPSHOT, "nothing to take a snapshot of", 100, "no event has come yet"),
    Expected(*_NO_SNAPSHOT, "changed owners", 3, "the workers have just joined"),
    *_SLOW,
)
"""Only in the first phase."""

AFTER_A_RESTART = (
    _FAREWELL,
    Expected(
        *_JOINING,
        "has another owner|no longer as it was left|rebalancing without end|moved to the group",
        10,
        "a worker that starts or ends moves shards, who still has one of these is told by the next write; and the "
        "embedded broker may lose count",
    ),
    Expected(*_NO_SNAPSHOT, "changed owners", 3, "each of its tries fell into such a move; the next one is taken"),
    *_SLOW,
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
        """The warnings since the last time that are none of the allowed ones, or too many, and what is no log line."""
        left = Counter({each: each.most for each in allowed})
        for path in sorted(self._folder.glob("*.log")):
            for line in self._fresh(path):
                entry = _parsed(line)
                if entry is None:
                    if not PLAIN.fullmatch(line):
                        yield f"{path.stem} says: {line[:300]}"
                    continue
                if entry.get("event") == "new generation":
                    self.published[entry["cause"]] += 1
                if entry.get("level") in ("warning", "error", "critical"):
                    expected = [each for each in allowed if left[each] and _fits(each, path.stem, entry)]
                    left.subtract(expected[:1])
                    if not expected:
                        yield f"{path.stem} warns: {line[:300]}"

    def _fresh(self, path: Path) -> list[str]:
        """The whole lines since the last time."""
        content = path.read_bytes()
        end = content.rfind(b"\n") + 1
        fresh = content[self._read.get(path, 0) : end]
        self._read[path] = end
        return fresh.decode(errors="replace").splitlines()


def _fits(expected: Expected, who: str, entry: dict[str, Any]) -> bool:
    reason = str(entry.get("reason", ""))
    return bool(
        re.fullmatch(expected.who, who)
        and re.fullmatch(expected.event, str(entry["event"]))
        and re.search(expected.reason, reason)
    )


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
