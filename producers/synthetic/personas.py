"""The personas of the synthetic users: what a segmentation of their events should find again."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Persona(NamedTuple):
    """Behaviour that many users share; `segmenter.kinds.HABITS` says what they do.

    ``share`` is its part of the population. ``activity`` is the median number of events relative to the other
    personas, ``spread`` the sigma of the lognormal distribution about it. ``visit`` is the mean number of events of a
    session.
    """

    name: str
    segment: str
    share: float
    activity: float
    spread: float
    visit: int


PERSONAS = (
    Persona("passer_by", "low_engagement", 0.30, 4, 0.35, 2),
    Persona("bouncer", "low_engagement", 0.20, 3, 0.30, 1),
    Persona("browser", "moderate_engagement", 0.18, 28, 0.35, 6),
    Persona("hunter", "moderate_engagement", 0.14, 26, 0.35, 5),
    Persona("reader", "highly_engaged", 0.12, 150, 0.70, 12),
    Persona("researcher", "highly_engaged", 0.06, 170, 0.70, 15),
)
"""Six personas in three segments."""


def user_id(number: int) -> str:
    """The id of the synthetic user with this number, counted from 0."""
    return f"u{number}"


def persona_numbers(users: int, seed: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The index into `PERSONAS` of each user; it depends on the arguments alone."""
    shares = [persona.share for persona in PERSONAS]
    return np.random.default_rng([seed, 0]).choice(len(PERSONAS), size=users, p=shares).astype(np.int64)


def personas(users: int, seed: int) -> dict[str, Persona]:
    """The persona of each user by id, as `producers.synthetic.generator.generate` uses it for the same arguments.

    >>> sorted({persona.segment for persona in personas(100, seed=1).values()})
    ['highly_engaged', 'low_engagement', 'moderate_engagement']
    """
    return {user_id(number): PERSONAS[kind] for number, kind in enumerate(persona_numbers(users, seed).tolist())}
