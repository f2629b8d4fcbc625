"""Replays the file, in a process of its own, no further and no faster than it is ordered to.

    python -m tests.chaos.publisher FILE RECORDS_PER_SECOND

Each line on standard input is the number of records to go up to; what comes with "0" is the rest, at full speed.
How many have been given to the producer is printed on standard output, a few times a second; it ends when all are
acknowledged.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from producers.messages import Message
from producers.publish import publish
from segmenter.settings import load
from tests.chaos import events

TICK_SECONDS = 0.05


class Leash:
    """How far the replay may go."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._limit = 0
        self._at_full_speed = False

    def listen(self) -> None:
        """Take limits until standard input ends: then the process that set them is gone, and this one ends too."""
        for line in sys.stdin:
            with self._changed:
                self._limit = max(self._limit, int(line))
                self._at_full_speed |= int(line) == 0
                self._changed.notify()
        os.kill(os.getpid(), signal.SIGKILL)

    def wait(self, record: int) -> bool:
        """Wait until this record may be sent; returns whether at full speed."""
        with self._changed:
            self._changed.wait_for(lambda: self._at_full_speed or record < self._limit)
            return self._at_full_speed


def paced(messages: Iterator[Message], leash: Leash, rate: float) -> Iterator[Message]:
    """The messages, ``rate`` a second, as far as the limit."""
    burst = max(1, int(rate * TICK_SECONDS))
    number = 0
    for number, message in enumerate(messages):
        if number % burst == 0:
            print(number, flush=True)
        if not leash.wait(number) and number % burst == 0:
            time.sleep(TICK_SECONDS)
        yield message
    print(number + 1, flush=True)


def main() -> None:
    leash = Leash()
    threading.Thread(target=leash.listen, daemon=True).start()
    publish(load(), paced(events.messages(Path(sys.argv[1])), leash, float(sys.argv[2])))


if __name__ == "__main__":
    main()
