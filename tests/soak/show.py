"""What is printed of a life: a line per phase, and the numbers at the end."""

from __future__ import annotations

from typing import IO, Any, NamedTuple


class Line(NamedTuple):
    """A phase that is over."""

    phase: str
    seconds: float
    settled_s: float
    """How long it took until all had caught up and the model was settled."""
    numbers: dict[str, Any]
    """The numbers so far."""
    told: dict[str, Any]
    """What the lookups of this phase have seen."""


class Show:
    """Prints it to a stream."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def say(self, text: str) -> None:
        """A line."""
        print(text, file=self._stream, flush=True)

    def phase(self, line: Line) -> None:
        """The numbers of a phase."""
        numbers = line.numbers
        sizes = ", ".join(f"{name} {mb}" for name, mb in numbers["mb"].items())
        self.say(
            f"{numbers['phases']:>3} {line.phase:<9}{line.seconds:>6.1f} s, settled after {line.settled_s:.1f} s; "
            f"{numbers['users']:,} users, {numbers['records']:,} records, {numbers['commits']:,} commits, "
            f"{numbers['steps']:,} steps, {numbers['refits']:,} refits, {numbers['restarts']} restarts; "
            f"{line.told['asked']:,} lookups, {line.told['stale']:,} stale; {numbers['redis_keys']:,} keys, "
            f"feed {numbers['feed']}; MB: {sizes}, data in Redis {numbers['redis_mb']}"
        )
