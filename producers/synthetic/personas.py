"""The personas of the synthetic users: what a segmentation of their events should find again."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Persona(NamedTuple):
    """A kind of behaviour that many users share.

    ``share`` is its part of the population. ``activity`` is the median number of events relative to the other
    personas, ``spread`` the sigma of the lognormal distribution about it. ``clicks``, ``searches`` and ``views`` are
    the shares of these kinds among the events. ``click_ms`` and ``view_ms`` are medians, ``visit`` is the mean
    number of events of a session.
    """

    name: str
    segment: str
    share: float
    activity: float
    spread: float
    clicks: float
    searches: float
    views: float
    click_ms: int
    view_ms: int
    visit: int


PERSONAS = (
    Persona("passer_by", "low_engagement", 0.30, 4, 0.35, 0.66, 0.10, 0.24, 700, 5_000, 2),
    Persona("bouncer", "low_engagement", 0.20, 3, 0.30, 1.00, 0.00, 0.00, 600, 0, 1),
    Persona("browser", "moderate_engagement", 0.18, 28, 0.35, 0.50, 0.18, 0.32, 2_500, 35_000, 6),
    Persona("hunter", "moderate_engagement", 0.14, 26, 0.35, 0.62, 0.38, 0.00, 2_800, 0, 5),
    Persona("reader", "highly_engaged", 0.12, 150, 0.70, 0.40, 0.18, 0.42, 9_000, 240_000, 12),
    Persona("researcher", "highly_engaged", 0.06, 170, 0.70, 0.38, 0.34, 0.28, 8_000, 190_000, 15),
)
"""Six personas in three segments. A ``bouncer`` never searches nor views, a ``hunter`` never views."""


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
