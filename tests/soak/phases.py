"""The phases of a life: what the users do in each, and what happens to the processes meanwhile."""

from __future__ import annotations

from typing import Literal, NamedTuple

Turn = Literal["", "silence", "wake"]


class Phase(NamedTuple):
    """A part of a life. It ends when all has caught up, and then everything is checked."""

    name: str
    turn: Turn = ""
    """What comes over the users as it begins."""
    growth: float = 1.0
    """How many times as many users there are at its end."""
    changes: int = 0
    """How often half of the users take on another behaviour."""
    refits: int = 0
    """How often somebody asks for a refit."""
    restarts: bool = False
    """Whether processes are ended, killed and started again."""
    steady: bool = False
    """Whether processes may take no more memory at its end than at its beginning."""


def cycle(number: int, users: int, first: int, most: int) -> tuple[Phase, ...]:
    """The phases of the cycle with this number, counted from 1, at so many users.

    In the first one users come until there are ``first``, in each other one twice as many, up to ``most``; then a few.

    >>> [cycle(number, users, 400, 3_000)[0].growth for number, users in [(1, 0), (2, 400), (4, 1_600), (5, 3_000)]]
    [400.0, 2.0, 1.875, 1.02]
    """
    growth = first / max(1, users) if number == 1 else max(1.02, min(2.0, most / users))
    return (
        Phase("growth", "wake", growth=growth),
        Phase("change", changes=4, refits=3),
        Phase("restarts", changes=1, restarts=True),
        Phase("warm-up", changes=2, refits=1),
        Phase("steady", refits=1, steady=True),
        Phase("silence", "silence", steady=True),
    )
