"""One report, which all tests of a process look at."""

from __future__ import annotations

import pytest

from segmenter import warehouse
from segmenter.operations.report import Written, report
from segmenter.operations.segments.profiles import set_action
from tests.profiles.world import load, world
from tests.report.site import HIGH, HOSTILE, add_spans, fill, hostile, settings_of


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """The report of a small site, as files; the warehouse is in the folder above."""
    folder = tmp_path_factory.mktemp("site")
    settings = settings_of(f"sqlite:///{folder}/w.db")
    with warehouse.connect(settings) as database:
        warehouse.migrate(database, now_ms=1)
        load(database, hostile(world()))
        fill(database)
        add_spans(database, (0, 1_000, 1_003))
    set_action(settings, HIGH, HOSTILE)
    return report(settings, folder / "report", now_ms=90_000_000)
