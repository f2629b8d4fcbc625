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


def restarts(rng: random.Random, workers: Sequence[Child], others: Sequence[Child]) -> list[Restart]:
    """Restarts of each kind, of workers and of ``others``, a sink first; the seed chooses steps and order.

    SIGTERM comes first: a process that has just been started does not handle it yet, and so just dies.
    """
    one, other = rng.sample(list(workers), 2)
    struck = rng.choice([[other], [other, one]])
    worker_step, sink_step = rng.choice(WORKER_STEPS), rng.choice(SINK_STEPS)
    in_order: list[Restart] = [lambda: ended([one]), lambda: ended(others)]
    at_once: list[Restart] = [lambda: killed(struck, worker_step), lambda: killed(others, sink_step)]
    return [*rng.sample(in_order, len(in_order)), *rng.sample(at_once, len(at_once))]


def ended(children: Sequence[Child]) -> Iterator[str]:
    """SIGTERM, one after the other."""
    for child in children:
        if code := child.end():
            yield f"{child.name} ended with {code} on SIGTERM: {child.said()[-1_000:]}"
        child.start()


def killed(children: Sequence[Child], step: str) -> Iterator[str]:
    """kill -9 of the first at a step, if it reaches it soon, and of the others at the same time."""
    first = children[0]
    if first.living():
        first.order(step)
        with suppress(queue.Empty):
            first.strikes.get(timeout=STRIKE_SECONDS)
    for child in children:
        child.kill()
        if (code := child.died()) != -signal.SIGKILL:
            yield f"{child.name} had ended by itself with {code}: {child.said()[-1_000:]}"
    for child in children:
        child.start()
