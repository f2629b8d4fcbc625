"""What the plots say, read from the figures themselves, and the files that `segmenter plot` leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from segmenter import warehouse
from segmenter.kinds import DEFAULT, catalogue
from segmenter.model.features import features, named
from segmenter.model.generation import Generation, Segment
from segmenter.report import charts
from segmenter.report.charts import Portrait
from segmenter.settings import Settings
from segmenter.warehouse import Snapshot, Warehouse
from segmenter.warehouse.snapshot_contents import read_users
from tests import verbs
from tests.defaults import FIELDS

NAMES = {"low": "Low", "middle": "Middle", "high": "High"}
SHOWN = named(["total_clicks", "mean_view_ms"], DEFAULT)
NOON_MS = 1_700_000_000_000
DuplicateWindow = Sequence[tuple[str, int, float | None]]
"""Segment, total clicks and mean time of a view in milliseconds of each user."""

USERS: DuplicateWindow = [("low", 0, 2_000.0), ("low", 1, None), ("low", 1, None), ("high", 90, 70_000.0)]


def portrait(users: DuplicateWindow, names: dict[str, str] = NAMES, generation: int = 4) -> Portrait:
    frame = pd.DataFrame(users, columns=["segment", "total_clicks", "mean_view_ms"]).astype({"mean_view_ms": "float64"})
    return Portrait(Snapshot(7, NOON_MS, generation, len(users)), names, frame, SHOWN, (), "EUR")


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def marks(figure: Figure) -> list[np.ndarray]:
    """The points of each scatter that shows any."""
    drawn = [each for each in figure.axes[0].collections if isinstance(each, PathCollection)]
    return [np.asarray(each.get_offsets()) for each in drawn if len(np.asarray(each.get_offsets()))]


def test_every_user_is_one_mark_and_who_has_no_timed_view_stands_about_the_mean_of_the_others() -> None:
    figure = charts.two_features(portrait(USERS))
    timed, untimed = marks(figure)
    assert sorted(np.rint(timed[:, 0])) == [0, 90]
    assert sorted(timed[:, 1]) == [2.0, 70.0]
    assert list(np.rint(untimed[:, 0])) == [1, 1]
    mean = (2_001 * 70_001) ** 0.5 / 1_000 - 0.001  # of log1p of milliseconds
    assert f"the mean: {mean:,.1f} (in log1p)" in legend(figure)[-1]
    assert (abs(untimed[:, 1] / mean - 1) < 0.2).all()
    assert untimed[0, 1] != untimed[1, 1]


def test_the_legend_names_the_segments_the_most_engaged_on_top_also_the_empty_one() -> None:
    shown = legend(charts.two_features(portrait(USERS)))
    assert shown[:3] == ["High\n1 user", "Middle\n0 users", "Low\n3 users"]
    assert shown[3].startswith("no value\n2 users")
    everyone_timed = [("low", 1, 5.0), ("high", 2, 6.0)]
    assert len(legend(charts.two_features(portrait(everyone_timed)))) == 3


def test_the_title_tells_how_many_users_when_and_which_generation() -> None:
    for plot in charts.PLOTS.values():
        axes = plot(portrait(USERS)).axes[0]
        assert axes.get_title("left").startswith("4 users: ")
        said = [text.get_text() for text in axes.texts]
        assert "snapshot 7 of 2023-11-14 22:13:20 UTC · generation 4" in said
    before = charts.segment_sizes(portrait([("unassigned", 1, None)], {"unassigned": "Unassigned"}, 0)).axes[0]
    assert before.get_title("left").startswith("1 user: ")
    assert any(text.get_text().endswith("no generation yet") for text in before.texts)


def test_bars_are_labelled_with_count_and_share() -> None:
    axes = charts.segment_sizes(portrait([*USERS, *[("high", 1, None)] * 2_996])).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Low", "Middle", "High"]
    said = {text.get_text() for text in axes.texts}
    assert {"3  (0.1%)", "0  (0.0%)", "2,997  (99.9%)"} <= said


def test_the_axis_begins_at_zero_and_is_labelled_with_plain_numbers() -> None:
    axes = charts.two_features(portrait([("low", 0, 0.0), ("high", 12_345, 900_000.0)])).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()][:4] == ["0", "1", "3", "10"]
    assert axes.get_xticklabels()[-1].get_text() == "10,000"
    assert [label.get_text() for label in axes.get_yticklabels()][:4] == ["0", "1", "2", "5"]
    assert axes.get_yticklabels()[-1].get_text() == "500"
    assert axes.get_xlim()[0] < -1 / 3 and axes.get_xlim()[1] > 12_345.4


@pytest.mark.parametrize(
    "drawn",
    [
        portrait([]),
        portrait([("unassigned", 0, None)], {"unassigned": "Unassigned"}, 0),
        portrait([("low", 3, None), ("high", 2**40, None)]),
        portrait([(f"s{i}", i, i * 1e6) for i in range(12)], {f"s{i}": f"A {'long ' * 8}name {i}" for i in range(12)}),
    ],
    ids=["nobody", "before the first generation", "no view at all", "twelve long names"],
)
def test_the_corners_are_drawn_too(drawn: Portrait, tmp_path: Path) -> None:
    for file in charts.draw(drawn, tmp_path / "new" / "folder"):
        assert file.read_bytes().startswith(b"\x89PNG")


def test_colours_differ_in_brightness_alone() -> None:
    for count in range(2, 13):
        names = {f"s{index}": "" for index in range(count)}
        shades = np.array(list(charts._colours(portrait([], names)).values()))[:, :3]
        brightness = shades @ [0.2126, 0.7152, 0.0722]
        assert (np.diff(brightness) > 0).all()


def test_segments_keep_the_models_order_and_others_come_before() -> None:
    model = generation(("low", "high", "born"))
    assert list(charts.names_in_order(model, ["high", "unassigned", "low"])) == ["unassigned", "low", "high", "born"]


def generation(slugs: Sequence[str]) -> Generation:
    segments = tuple(Segment(index, slug, slug.capitalize()) for index, slug in enumerate(slugs))
    return Generation(
        number=3, cause="refit", features=("total_clicks",), centres=((1.0,),) * len(slugs), segments=segments,
        scale=(1.0,), fill=(0.0,), population=2, fitted_population=2, created_ms=5,
    )  # fmt: skip


def write_snapshot(database: Warehouse, clicks: int, model: Generation | None) -> Snapshot:
    profile = (clicks, 0, 0, 0, 0, 0, 0, 5, 6)
    numbers = features(dict(zip(FIELDS, profile, strict=True)), catalogue(DEFAULT)).values()
    row = (b"\xff bob", 0, *profile, *numbers, "low", 3, 1, 0, 0)
    body = None if model is None else model.encode().decode()
    return warehouse.write_snapshot(database, NOON_MS, {}, [[row]], model.number if model else 0, body, {})


def test_a_snapshot_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    with warehouse.connect(Settings(warehouse_url=f"sqlite:///{tmp_path}/w.db")) as database:
        warehouse.migrate(database, now_ms=1)
        model = generation(("low", "high"))
        first, second = write_snapshot(database, 8, None), write_snapshot(database, 9, model)
        users = read_users(database, second.snapshot_id)
        assert users[["user_id", "total_clicks", "segment"]].values.tolist() == [[b"\xff bob", 9, "low"]]
        assert users["mean_view_ms"].isna().all() and users["mean_view_ms"].dtype == np.float64
        assert (
            warehouse.snapshot_generation(database, first.snapshot_id),
            warehouse.snapshot_generation(database, second.snapshot_id),
        ) == (None, model)
    assert charts.read(Settings(warehouse_url=f"sqlite:///{tmp_path}/w.db")).snapshot == second


def variables(folder: Path) -> dict[str, str]:
    given = {"KAFKA": "localhost:1", "REDIS_URL": "redis://localhost:1/0", "WAREHOUSE_URL": f"sqlite:///{folder}/w.db"}
    return {f"SEGMENTER_{name}": value for name, value in given.items()}


def test_the_command_draws_the_latest_snapshot(tmp_path: Path) -> None:
    before = verbs.run("plot", environment=variables(tmp_path), folder=tmp_path)
    assert (before.returncode, before.stderr.count("\n")) == (2, 1)
    with warehouse.connect(Settings(warehouse_url=f"sqlite:///{tmp_path}/w.db")) as database:
        warehouse.migrate(database, now_ms=1)
        write_snapshot(database, 9, generation(("low", "high")))
    words = ("plot", "--json", "--out", "pictures")
    report = json.loads(verbs.run(*words, environment=variables(tmp_path), folder=tmp_path).stdout)
    assert report["files"] == ["pictures/two-features.png", "pictures/segment-sizes.png"]
    assert all((tmp_path / file).stat().st_size > 10_000 for file in report["files"])


def test_without_matplotlib_the_command_says_how_to_get_it(tmp_path: Path) -> None:
    with warehouse.connect(Settings(warehouse_url=f"sqlite:///{tmp_path}/w.db")) as database:
        warehouse.migrate(database, now_ms=1)
        write_snapshot(database, 9, None)
    without = (
        "import sys; sys.modules['matplotlib'] = None; sys.argv[1:] = ['plot']; import segmenter.cli as c; c.main()"
    )
    environ = os.environ | variables(tmp_path) | {"PYTHONPATH": str(Path(charts.__file__).parents[2])}
    words = [sys.executable, "-c", without]
    result = subprocess.run(words, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "pip install 'segmenter[report]'" in result.stderr and result.stderr.count("\n") == 1
    assert not (tmp_path / "plots").exists()
