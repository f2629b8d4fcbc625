"""The knee of a curve: where it bends most."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def knee(x: NDArray[np.float64], y: NDArray[np.float64]) -> int:
    """The index of the point that lies farthest below the line from the first point to the last.

    Both axes are scaled to 0..1 before; 0 if no point lies below. For a curve that falls and flattens out, or one that
    is flat and then rises.

    Reference: Satopää, Albrecht, Irwin and Raghavan, Finding a "Kneedle" in a Haystack, 2011.

    >>> knee(np.arange(5.0), np.array([10.0, 4.0, 1.0, 0.5, 0.0]))
    2
    """
    width, height = float(np.ptp(x)), float(np.ptp(y))
    if not width or not height:
        return 0
    across, up = (x - x[0]) / width, (y - y[0]) / height
    below = across * up[-1] - up
    return int(np.argmax(below))
