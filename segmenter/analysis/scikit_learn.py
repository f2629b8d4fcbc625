"""scikit-learn, which comes with the extra ``analysis``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from segmenter.errors import UsageError

WORKING_MEGABYTES = 64
"""How much of a matrix of distances is held at once."""


@contextmanager
def scikit_learn() -> Iterator[None]:
    """scikit-learn on one thread, so that sums have one order and every run gives the same clusters.

    Raises `UsageError` when it is missing.
    """
    try:
        from sklearn import config_context
        from threadpoolctl import threadpool_limits
    except ModuleNotFoundError:
        raise UsageError("clusters need scikit-learn, which is not here: pip install 'segmenter[analysis]'.") from None
    with threadpool_limits(1), config_context(working_memory=WORKING_MEGABYTES):
        yield
