"""The vector of a user: the features as fixed-point integers, so that sums of them are exact in any order.

A feature v becomes ``round(log1p(v) * 2**20)``, whatever the scale, fill or generation. The squeeze by log1p keeps
one very busy user from outweighing all others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from segmenter.kinds import Feature

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SCALE_BITS = 20
"""A vector counts in units of ``2**-SCALE_BITS``."""

MISSING = -1
"""Stands in a vector for a feature without a value."""


def vectors(columns: Mapping[str, NDArray[np.int64]], features: Sequence[Feature]) -> NDArray[np.int64]:
    """The vectors, shape (users, features), of profiles given by field name.

    >>> import numpy as np
    >>> profiles = {"clicks": np.array([0, 3]), "views_timed": np.array([0, 2]), "view_ms": np.array([0, 14])}
    >>> total = Feature("total_clicks", "clicks", None, "clicks")
    >>> mean = Feature("mean_view_ms", "view_ms", "views_timed", "milliseconds")
    >>> vectors(profiles, [total, mean]).tolist()
    [[0, -1], [1453635, 2180452]]
    """
    import numpy as np  # here, since a lookup decodes vectors and must not wait for numpy

    users = len(next(iter(columns.values())))
    values = np.empty((users, len(features)))
    for index, feature in enumerate(features):
        numerator = columns[feature.numerator]
        if feature.denominator is None:
            values[:, index] = numerator
        else:
            count = columns[feature.denominator]
            values[:, index] = np.where(count == 0, np.nan, numerator / np.maximum(count, 1))
    return fixed(values)


def fixed(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Finite numbers, or NaN where one is missing, as fixed point; a negative number keeps its sign.

    >>> import numpy as np
    >>> fixed(np.array([0, 1, -1, np.nan])).tolist()
    [0, 726817, -726817, -1]

    The one negative number that would read as missing, about -0.000001, becomes 0.
    """
    import numpy as np

    missing = np.isnan(values)
    numbers = np.rint(squeezed(np.where(missing, 0.0, values)) * 2.0**SCALE_BITS).astype(np.int64)
    numbers[numbers == MISSING] = 0
    numbers[missing] = MISSING
    return numbers


def squeezed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """log1p of numbers; a negative number keeps its sign."""
    import numpy as np

    return np.copysign(np.log1p(np.abs(values)), values)


_NONE = "-"


def encode(vector: Sequence[int]) -> str:
    """A vector as compact text: its numbers between commas, nothing for a missing one; ``-`` for an empty vector.

    >>> encode([1453635, 0, 2180452, MISSING])
    '1453635,0,2180452,'
    """
    return ",".join(["" if number == MISSING else str(number) for number in vector]) if vector else _NONE


def decode(text: str) -> tuple[int, ...]:
    """The vector of `encode`'s text.

    >>> decode("1453635,0,2180452,")
    (1453635, 0, 2180452, -1)
    """
    return tuple([int(number) if number else MISSING for number in text.split(",")]) if text != _NONE else ()
