"""A pytest plugin for `make mutants`: what is likely to fail soon comes first, and how it fails does not matter."""

from __future__ import annotations

import gc
import json
import os
from pathlib import Path

import hypothesis
import pytest

STATS = Path("mutmut-stats.json")
"""What mutmut knows of the tests, in the folder where it runs them."""


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """A failing example is not made smaller, nor kept. What is there already is no garbage, and is not searched.

    Each process has temporary files of its own: several run at once, and pytest removes those of earlier runs.
    """
    config.option.basetemp = Path("temporary", str(os.getpid()))
    config.option.basetemp.parent.mkdir(exist_ok=True)
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    slow = [hypothesis.HealthCheck.too_slow]
    hypothesis.settings.register_profile(
        "mutants", deadline=None, database=None, phases=phases, suppress_health_check=slow
    )
    hypothesis.settings.load_profile("mutants")
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The quickest tests first; without the doctests of mutants, which are those of the functions they stand for."""
    durations = json.loads(STATS.read_text("utf-8"))["duration_by_test"] if STATS.exists() else {}
    items[:] = sorted([i for i in items if "__mutmut_" not in i.name], key=lambda item: durations.get(item.nodeid, 0.0))
