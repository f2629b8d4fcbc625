"""A worker or a sink that strikes itself where it is ordered to; otherwise the command, in a process of its own.

    python -m tests.chaos.doomed worker --no-refit

Each line on standard input is an order: ``{"point": "commit", "times": 2, "signal": 9}`` has the process send itself
signal 9 the second time that it reaches this crash point from now on. Just before, it prints where it is. A later order
replaces an earlier one. With CHAOS_BREAK set to the name of a way to break the promise, it does so.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

from segmenter import cli, crash_points

Order = dict[str, Any]


class Doom:
    """What has been ordered, and how often that point is still to be reached."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._order: Order | None = None

    def listen(self) -> None:
        """Take orders until standard input ends: then the process that gave them is gone, and this one ends too."""
        for line in sys.stdin:
            with self._lock:
                self._order = json.loads(line)
        os.kill(os.getpid(), signal.SIGKILL)

    def reached(self, point: crash_points.CrashPoint) -> None:
        """Strike if this is the time that was ordered."""
        with self._lock:
            order = self._order
            if order is None or order["point"] != point:
                return
            order["times"] -= 1
            if order["times"] > 0:
                return
            self._order = None
        print(json.dumps({"struck": point, "at": where(sys._getframe())}), flush=True)
        os.kill(os.getpid(), order["signal"])


def where(frame: FrameType | None) -> str:
    """The shard and the offsets of the innermost caller that knows them: those on which its next write builds."""
    while frame is not None:
        names = frame.f_locals
        shard, moves = names.get("shard"), names.get("moves")
        if hasattr(shard, "offsets"):
            return f"shard {shard.number} at {_offsets(shard.offsets)}"
        if "state" in names and "number" in names:
            return f"shard {names['number']} at {_offsets(names['state'].offsets or {})}"
        if isinstance(moves, dict) and moves:
            (topic, part), move = min(moves.items())
            return f"{topic} {part} at {move.start:,}"
        frame = frame.f_back
    return "no shard in particular"


def _offsets(offsets: dict[str, int]) -> str:
    return ", ".join(f"{topic} {offset:,}" for topic, offset in sorted(offsets.items())) or "its beginning"


def main() -> None:
    doom = Doom()
    crash_points.watch(doom.reached)
    threading.Thread(target=doom.listen, daemon=True).start()
    if os.environ.get("CHAOS_BREAK"):
        from tests.chaos import apart

        apart.BREAKS[os.environ["CHAOS_BREAK"]]()
    cli.main()


if __name__ == "__main__":
    main()
