"""The census: for each segment, how many users it has and what their vectors add up to.

It is a group: censuses can be added and subtracted, and zeros are dropped. Unbounded integers make it exact, so it is a
function of the set of users alone: any order, batch split, crash or forgetting gives the same census.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec

from segmenter.model.vectors import MISSING, SCALE_BITS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Label = TypeVar("Label", bound=Hashable)
_INT64_MAX = 2**63 - 1

UNIT = 2.0**SCALE_BITS
"""The number that stands for 1 in a vector."""


class Tally(msgspec.Struct, frozen=True, array_like=True):
    """The number of users and, for each feature, how many have it, its sum and its sum of squares (fixed point)."""

    users: int
    present: tuple[int, ...]
    sums: tuple[int, ...]
    squares: tuple[int, ...]

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.users + other.users,
            _plus(self.present, other.present),
            _plus(self.sums, other.sums),
            _plus(self.squares, other.squares),
        )

    def __neg__(self) -> Tally:
        return Tally(-self.users, _minus(self.present), _minus(self.sums), _minus(self.squares))

    def __bool__(self) -> bool:
        """Whether it differs from zero."""
        return bool(self.users) or any(self.present) or any(self.sums) or any(self.squares)

    def is_possible(self) -> bool:
        """Whether there can be users who add up to this."""
        features = list(zip(self.present, self.sums, self.squares, strict=True))
        return self.users >= 0 and all(
            0 <= present <= self.users and total**2 <= present * square and (present or not square)
            for present, total, square in features
        )


Census = dict[str, Tally]
"""The tally of each segment, by slug; a slug that is absent has no users."""


class Population(NamedTuple):
    """All users of a census together."""

    users: int
    fill: tuple[float, ...]
    """What stands for a missing feature: the mean of those who have it (0 if nobody has)."""
    scale: tuple[float, ...]
    """The standard deviation, with the fill for missing features; where that is 0, `UNIT`."""


def tally(vectors: NDArray[np.int64], labels: Iterable[Label]) -> dict[Label, Tally]:
    """What the vectors add up to, by label.

    >>> import numpy as np
    >>> tally(np.array([[3, MISSING], [4, 5], [1, 1]]), ["low", "low", "high"])["low"]
    Tally(users=2, present=(2, 1), sums=(7, 5), squares=(25, 25))
    """
    rows: dict[Label, list[int]] = {}
    for row, label in zip(range(len(vectors)), labels, strict=True):
        rows.setdefault(label, []).append(row)
    return {label: _tally(vectors[members]) for label, members in rows.items()}


def merged(censuses: Iterable[Mapping[Label, Tally]]) -> dict[Label, Tally]:
    """The sum of all, without what is zero."""
    total: dict[Label, Tally] = {}
    for census in censuses:
        for label, part in census.items():
            total[label] = total[label] + part if label in total else part
    return {label: part for label, part in total.items() if part}


def moved(
    census: Census,
    before: NDArray[np.int64],
    before_slugs: Sequence[str],
    after: NDArray[np.int64],
    after_slugs: Sequence[str],
) -> Census:
    """The census after subtracting the vectors that users had and adding those they have now.

    A new user has no row in ``before``, a forgotten one none in ``after``; the rows need not be in the same order.
    """
    given_back = {slug: -part for slug, part in tally(before, before_slugs).items()}
    return merged((census, given_back, tally(after, after_slugs)))


def without_values(census: Mapping[Label, Tally], features: int) -> dict[Label, Tally]:
    """The same users of each segment, each with so many features, all missing.

    >>> without_values({"low": Tally(2, (2, 1), (7, 5), (25, 25))}, features=3)
    {'low': Tally(users=2, present=(0, 0, 0), sums=(0, 0, 0), squares=(0, 0, 0))}
    """
    nothing = (0,) * features
    return {label: Tally(part.users, nothing, nothing, nothing) for label, part in census.items()}


def population(census: Mapping[Label, Tally]) -> Population:
    """The number of users, and the fill and scale of each feature, correctly rounded from exact integers.

    >>> population({"low": Tally(2, (2, 1), (7, 5), (25, 25)), "high": Tally(1, (1, 1), (1, 1), (1, 1))})
    Population(users=3, fill=(2.6666666666666665, 3.0), scale=(1.247219128924647, 1.632993161855452))
    """
    tallies = list(census.values())
    users = sum([part.users for part in tallies])
    present = _totals([part.present for part in tallies])
    sums = _totals([part.sums for part in tallies])
    squares = _totals([part.squares for part in tallies])
    return Population(
        users,
        tuple([total / count if count else 0.0 for count, total in zip(present, sums, strict=True)]),
        tuple([_spread(users, *feature) for feature in zip(present, sums, squares, strict=True)]),
    )


def filled_mean(part: Tally, fill: Sequence[float]) -> tuple[float, ...]:
    """The mean of the users of a tally, with the fill for missing features.

    >>> filled_mean(Tally(2, (2, 1), (7, 5), (25, 25)), (0.0, 3.0))
    (3.5, 4.0)
    """
    features = zip(part.sums, part.present, fill, strict=True)
    return tuple([(total + (part.users - present) * stand_in) / part.users for total, present, stand_in in features])


def typical(part: Tally, features: Sequence[str]) -> dict[str, float | None]:
    """By feature, exp(m) - 1, where m is the mean of log(1 + x) over the users who have it; None if nobody has."""
    return {
        feature: _unsqueezed(summed / present / UNIT) if present else None
        for feature, present, summed in zip(features, part.present, part.sums, strict=True)
    }


def encode(census: Census) -> bytes:
    """A census as JSON, the same bytes for the same census.

    >>> encode({"low": Tally(2, (2, 1), (7, 5), (25, 25))})
    b'{"low":[2,[2,1],[7,5],[25,25]]}'
    """
    return msgspec.json.encode(census, order="deterministic")


def decode(stored: bytes) -> Census:
    """The census of `encode`'s bytes."""
    return msgspec.json.decode(stored, type=Census)


def _tally(vectors: NDArray[np.int64]) -> Tally:
    present = vectors != MISSING
    values = vectors * present
    sums = squares = (0,) * vectors.shape[1]
    largest = max(1, int(abs(values).max(initial=0)))
    chunk = _INT64_MAX // largest**2  # the sum of this many squares fits in 64 bits; Python's integers add up the rest
    for start in range(0, len(values), chunk):
        part = values[start : start + chunk]
        sums = _plus(sums, part.sum(axis=0).tolist())
        squares = _plus(squares, (part * part).sum(axis=0).tolist())
    return Tally(len(values), tuple(present.sum(axis=0).tolist()), sums, squares)


def _plus(left: Iterable[int], right: Iterable[int]) -> tuple[int, ...]:
    return tuple([one + other for one, other in zip(left, right, strict=True)])


def _minus(numbers: Iterable[int]) -> tuple[int, ...]:
    return tuple([-number for number in numbers])


def _totals(rows: Iterable[tuple[int, ...]]) -> list[int]:
    return [sum(column) for column in zip(*rows, strict=True)]


def _unsqueezed(number: float) -> float:
    return math.copysign(math.expm1(abs(number)), number)


def _spread(users: int, present: int, total: int, square: int) -> float:
    deviations = present * square - total * total
    return math.sqrt(deviations / (present * users)) if deviations else UNIT
