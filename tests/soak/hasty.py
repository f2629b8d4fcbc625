"""A worker, sink, refit … with the clock of the model turned up; for the rest, `tests.chaos.doomed`.

    python -m tests.soak.hasty worker

It looks at its model five times a second, takes steps and adopts refits for less than they must save otherwise, and
keeps a small part of the change feed and of the model's history: an hour of it is like weeks. The child process of a
refit imports this module, too. With SOAK_BREAK set to the name of a way to break something, it does so.
"""

from __future__ import annotations

import importlib
import os
import sys

from tests.chaos import doomed
from tests.soak.apart import break_if_asked
from tests.soak.limits import FEED_LENGTH, GENERATIONS_KEPT, TRAINER_PAUSE_SECONDS

MODEL = {
    "consumers.trainer.refit.STEP_MARGIN": 0.000001,
    "consumers.trainer.refit.REFIT_MARGIN": 0.000001,
    "segmenter.store.models.KEPT": GENERATIONS_KEPT,
}
TURNED_UP = {
    "refit": MODEL,
    "worker": MODEL
    | {
        "consumers.worker.loop.HEARTBEAT_SECONDS": 0.2,
        "consumers.trainer.trainer.PAUSE_SECONDS": TRAINER_PAUSE_SECONDS,
        "segmenter.store.shards.FEED_LENGTH": FEED_LENGTH,
    },
    "sink": {"consumers.sink.HEARTBEAT_SECONDS": 0.2},
}
"""By verb, the numbers that are others here, and what they are; all are less than usual."""


def turn_up(verb: str) -> None:
    """Change the numbers of a verb in this process."""
    for path, number in TURNED_UP.get(verb, {}).items():
        module, _, name = path.rpartition(".")
        usual = getattr(importlib.import_module(module), name)
        assert number < usual, f"{path} is {usual}"
        setattr(sys.modules[module], name, number)


if __name__ in ("__main__", "__mp_main__"):
    turn_up(sys.argv[1])
    break_if_asked(os.environ)

if __name__ == "__main__":
    doomed.main()
