"""Which faults, in which order: every kind at least once, the rest at random, all by the seed."""

from __future__ import annotations

import random

from tests.chaos.faults import SINKS, WORKERS, Fault
from tests.chaos.part_faults import ONLY_REAL, PARTS
from tests.chaos.parts import Which

AT_ANY_TIME = {
    *SINKS,
    "Redis",
    "Redis cut",
    "Redis stopped",
    "broker stopped",
    "broker",
    "database",
    "sink and database",
}
"""Faults that need not wait until the workers are back from the one before."""


def kinds(which: Which, broken: bool) -> dict[str, Fault]:
    """Every fault that these parts can take; where the promise is broken, the one that finds it out soonest."""
    if broken:
        return {"Redis cut": PARTS["Redis cut"]}
    return WORKERS | SINKS | PARTS | (ONLY_REAL if which == "real" else {})


def schedule(all_kinds: dict[str, Fault], faults: int, rng: random.Random) -> list[str]:
    """The names of ``faults`` faults, or as many as there are kinds if that is more."""
    names = list(all_kinds)
    drawn = names + rng.choices(names, k=max(0, faults - len(names)))
    rng.shuffle(drawn)
    return drawn
