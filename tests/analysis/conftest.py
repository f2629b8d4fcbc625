"""The analysis as the command runs it: on one thread."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from segmenter.analysis.scikit_learn import scikit_learn


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Two test processes on two cores would wait for each other's threads otherwise."""
    with scikit_learn():
        yield
