"""How processes end in a long life: by SIGTERM, by kill -9 at a step of their work, and several at once."""

from __future__ import annotations

import queue
import random
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from tests.chaos.processes import Child

STRIKE_SECONDS = 3.0
"""How long to wait until a process reaches the step at which it is to die; then it dies where it is."""

WORKER_STEPS = ("poll", "fold", "commit", "sweep", "lag_offsets")
SINK_STEPS = ("fetch", "convert", "load")

Restart = Callable[[], Iterator[str]]
"""Ends processes and starts them again; yields what was wrong with their end."""


def restarts(rng: random.Random, workers: Sequence[Child], sink: Child, snapshotter: Child) -> list[Restart]:
    """One restart of each kind, in an order that the seed gives.

    SIGTERM comes first: a process that has just been started does not handle it yet, and so just dies.
    """
    one, other = rng.sample(list(workers), 2)
    worker_step, sink_step = rng.choice(WORKER_STEPS), rng.choice(SINK_STEPS)
    in_order: list[Restart] = [lambda: ended(one), lambda: ended(sink), lambda: ended(snapshotter)]
    at_once: list[Restart] = [
        lambda: killed([other], worker_step),
        lambda: killed(workers, worker_step),
        lambda: killed([sink], sink_step),
        lambda: killed([snapshotter], ""),
    ]
    return [*rng.sample(in_order, len(in_order)), *rng.sample(at_once, len(at_once))]


def ended(child: Child) -> Iterator[str]:
    """SIGTERM."""
    if code := child.end():
        yield f"{child.name} ended with {code} on SIGTERM: {child.said()[-1_000:]}"
    child.start()


def killed(children: Sequence[Child], step: str) -> Iterator[str]:
    """kill -9 of the first at a step, if it reaches it soon, and of the others at the same time."""
    first = children[0]
    if step and first.living():
        first.order(step)
        with suppress(queue.Empty):
            first.strikes.get(timeout=STRIKE_SECONDS)
    for child in children:
        child.kill()
        if (code := child.died()) != -signal.SIGKILL:
            yield f"{child.name} had ended by itself with {code}: {child.said()[-1_000:]}"
    for child in children:
        child.start()
