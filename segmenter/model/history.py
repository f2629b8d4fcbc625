"""In which segment a user was at a time, from what is known of the user's moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Move(NamedTuple):
    """A change of segment: ``before`` is empty for a new user, ``after`` for one whose row was removed."""

    at_ms: int
    before: str
    after: str


class Covered(NamedTuple):
    """A time of which all moves of a user are known, in order."""

    first_ms: int
    last_ms: int
    moves: tuple[Move, ...]
    seen: str | None
    """The segment that somebody saw the user in meanwhile, empty if there was no row; None if nobody looked."""

    def at(self, at_ms: int) -> str | None:
        """The segment at a time in it, empty if there was no row; None if it is not known.

        >>> Covered(10, 90, (Move(20, "", "low"), Move(50, "low", "high")), None).at(49)
        'low'
        """
        earlier = [move for move in self.moves if move.at_ms <= at_ms]
        if earlier:
            return earlier[-1].after
        return self.moves[0].before if self.moves else self.seen


class Past(NamedTuple):
    """What is known of a user at a time."""

    segment: str | None
    """Empty if the user had no row; None if it is not known."""
    before: tuple[int, str] | None
    """If it is not known: the latest time before that is known, and the segment then."""
    after: tuple[int, str] | None
    """Likewise, the earliest time after it."""


def segment_at(known: Sequence[Covered], at_ms: int) -> Past:
    """The segment at a time. ``known`` is in order of time, and nothing is known of the time between.

    >>> segment_at([Covered(10, 20, (), "low"), Covered(40, 60, (Move(50, "high", "low"),), None)], 30)
    Past(segment=None, before=(20, 'low'), after=(40, 'high'))
    """
    for each in known:
        if each.first_ms <= at_ms <= each.last_ms and (found := each.at(at_ms)) is not None:
            return Past(found, None, None)
    before = [(each.last_ms, each.at(each.last_ms)) for each in known if each.last_ms < at_ms]
    after = [(each.first_ms, each.at(each.first_ms)) for each in known if each.first_ms > at_ms]
    earlier = [(when, segment) for when, segment in before if segment is not None]
    later = [(when, segment) for when, segment in after if segment is not None]
    return Past(None, earlier[-1] if earlier else None, later[0] if later else None)
