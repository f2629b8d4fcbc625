"""What to do with the users of a segment, as long as nobody has said it."""

from __future__ import annotations

from collections.abc import Sequence

from segmenter.analysis.profiles.features import FeatureProfile
from segmenter.analysis.profiles.sentences import measured
from segmenter.kinds import Kind

_LEAST = "Bring them back: remind them of what is new since their last visit."
_BETWEEN = "Help them on: show them what the users of the next higher segment like."
_MOST = "Keep them: thank them, give them early access, and ask them to recommend you."
_NONE = "None: these users are in no segment."
_MORE = {
    "events": "Put {plural} first: they do that more than others.",
    "duration": "Offer them what takes time: they stay longer than others.",
    "total": "Offer them what is worth more before you offer discounts: they pay more than others.",
    "mean": "Offer them what is worth more before you offer discounts: they pay more than others.",
}
STRONG = 0.5
"""A difference from which on a feature is spoken of (Cohen calls 0.5 medium)."""


def suggested(place: int | None, segments: int, apart: Sequence[FeatureProfile], kinds: Sequence[Kind]) -> str:
    """The default for a segment: by its place among so many, 0 for the least engaged, and by the strongest feature.

    Without a place, users are in no segment.

    >>> suggested(0, 3, [], ())
    'Bring them back: remind them of what is new since their last visit.'
    """
    if place is None:
        return _NONE
    by_rank = _BETWEEN if 0 < place < segments - 1 or segments == 1 else _MOST if place else _LEAST
    more = [each for each in apart if (each.difference or 0.0) >= STRONG]
    if not more:
        return by_rank
    kind, measures = measured(more[0].name, kinds)
    return f"{by_rank} {_MORE[measures].format(plural=kind.plural.replace('_', ' '))}"
