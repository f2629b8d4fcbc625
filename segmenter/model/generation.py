"""A generation: one published, frozen model that judges users, as plain data.

It does not import numpy, so that a lookup can name a segment without that delay.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cached_property
from typing import Literal, NamedTuple

import msgspec

UNASSIGNED = "unassigned"
"""The slug of users whom no generation has judged yet."""

PROVISIONAL_USERS = 300
"""A model that was fitted to fewer users than these is provisional."""

Point = tuple[float, ...]
"""One number per feature, in a vector's fixed-point units."""


class Space(NamedTuple):
    """What vectors are made of: the names of the features, and the first generation that has judged by them."""

    features: tuple[str, ...]
    since: int


NO_SPACE = Space((), 0)
"""Before the first generation: vectors are empty."""


class Segment(msgspec.Struct, frozen=True):
    """A group of users. It outlives generations: its id stays while its centre moves."""

    id: int
    slug: str
    """Its rank among the others, as of this generation."""
    name: str
    """The slug's, or one set by hand, which stays with the id."""


class Lineage(msgspec.Struct, frozen=True):
    """What a refit did to the list of segments.

    Most users of a retired segment go ``into`` another. It is a merge if that one stayed where it was and now covers
    both, a retirement if it had to move there.
    """

    kind: Literal["birth", "merge", "retirement"]
    segment: int
    into: int | None = None


class Generation(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A model: a vector belongs to the segment whose centre is nearest, each feature divided by its scale.

    A stored generation keeps its bytes, and so its digest: a version with other fields would encode it differently.
    """

    number: int
    """Counts up from 1."""
    cause: Literal["bootstrap", "step", "refit", "rename", "features"]
    features: tuple[str, ...]
    centres: tuple[Point, ...]
    segments: tuple[Segment, ...]
    """One for each centre, in the same order, from the least to the most engaged."""
    scale: Point
    fill: Point
    """What stands for a missing feature."""
    gain: float = 0.0
    """The share of the inertia that it saved over the one before, when published."""
    population: int
    """Users when published."""
    fitted_population: int
    """Users at the last bootstrap or refit."""
    created_ms: int
    retired: tuple[Segment, ...] = ()
    """All segments that no longer exist, with their last slugs, which others may have now."""
    changes: tuple[Lineage, ...] = ()
    """How the segments differ from the generation before."""
    features_since: int = 0
    """The first generation with these features."""

    @property
    def slugs(self) -> tuple[str, ...]:
        """The slug of each centre's segment."""
        return tuple([segment.slug for segment in self.segments])

    @property
    def space(self) -> Space:
        """What the vectors that it judges are made of."""
        return Space(self.features, self.features_since)

    @property
    def provisional(self) -> bool:
        """Whether it was fitted to too few users to last."""
        return self.fitted_population < PROVISIONAL_USERS

    def encode(self) -> bytes:
        """As JSON: the very bytes that it was decoded from, if it was."""
        return self._encoded

    @cached_property
    def _encoded(self) -> bytes:
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, stored: bytes) -> Generation:
        """The generation of `encode`'s bytes, which it keeps."""
        generation = msgspec.json.decode(stored, type=cls)
        vars(generation)["_encoded"] = stored
        return generation


def digest(generation: Generation) -> str:
    """The SHA-256 of its JSON, in hexadecimal: two generations with the same digest judge the same way."""
    return hashlib.sha256(generation.encode()).hexdigest()


def space_of(generation: Generation | None) -> Space:
    """What vectors are made of while this generation is current."""
    return generation.space if generation else NO_SPACE


def name_of(slug: str) -> str:
    """The readable name of a slug.

    >>> name_of("low_engagement")
    'Low engagement'
    """
    return slug.replace("_", " ").capitalize()


def slugs_of(generation: Generation, indices: Iterable[int]) -> list[str]:
    """The slugs of centres given by their index."""
    slugs = generation.slugs
    return [slugs[index] for index in indices]
