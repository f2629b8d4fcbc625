"""The report of a small site, against plain pandas, and the page as a browser reads it."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

import segmenter
from segmenter import warehouse
from segmenter.operations.report import Written, read
from segmenter.settings import Settings
from tests.profiles.world import KINDS, load, world
from tests.report.site import HIGH, HOSTILE, LOW, MIDDLE, add_spans, fill, settings_of

pytestmark = pytest.mark.xdist_group("report")  # it is written once

CHARTS = ["segments", "characteristics", "times", "two-features", "sizes-over-time", "moves", "algorithms"]
REPORT = "import sys; {before}; sys.argv[1:] = ['report']; import segmenter.cli as cli; cli.main()"


def test_findings_are_what_pandas_finds(written: Written) -> None:
    of = world()
    counted = of.unrepeated()
    users, events = of.users["segment"].value_counts(), counted["segment"].value_counts()
    paid = counted[counted["topic"].eq("purchases") & (counted["amount"] >= 0)].groupby("segment")["amount"].sum()
    shares = [f"{each[HIGH] / each.sum():.1%}".replace(".0%", "%") for each in (users, events, paid)]
    assert written.findings["segments"] == (
        f"[b]Name of {HIGH}: {shares[0]} of the users make {shares[1]} of the events and stand for {shares[2]} of the "
        "amount of purchases"
    )
    assert written.findings["moves"] == (
        "Of 9 moves, 55.6% came from the users' behaviour, 33.3% from the model and 11.1% from repairs"
    )
    assert written.findings["sizes-over-time"].endswith("grew most: from 0 to 10 users in 1 day")


def test_the_busiest_hour_is_that_of_the_time_zone(written: Written) -> None:
    events = world().counted()
    local = pd.to_datetime(events["time_ms"], unit="ms", utc=True).dt.tz_convert("America/St_Johns")
    top = local[events["segment"] == HIGH].dt.hour.mode()[0]
    assert written.findings["times"].startswith(f"[b]Name of {HIGH}: most active from {top}:00 to {top + 1}:00")


def test_an_algorithm_is_compared_with_the_live_segments_by_its_later_run(written: Written) -> None:
    said = written.findings["algorithms"]
    assert said.startswith("kmeans separates these users better than the live segments: silhouette 0.900 against ")


class Page(HTMLParser):
    """What is on a page: its elements, their attributes, and the text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.attributes if each == name]


@pytest.fixture(scope="module")
def page(written: Written) -> Page:
    return Page(written.files[0].read_text("utf-8"))


def test_the_page_needs_no_other_file_and_no_network(written: Written, page: Page) -> None:
    assert not {"script", "link", "iframe", "object", "embed", "base", "img"} & set(page.tags)
    for name in ("src", "href", "xlink:href", "action", "poster", "srcset"):
        assert all(value.startswith(("#", "data:image/png;base64,")) for value in page.all(name)), name
    source = written.files[0].read_text("utf-8")
    assert all(each.startswith("#") for each in re.findall(r"url\((.*?)\)", source))
    assert "@import" not in source
    ids = page.all("id")
    assert len(ids) == len(set(ids))
    assert {value[1:] for value in page.all("href") if value.startswith("#")} <= set(ids)


def test_what_others_wrote_is_text(page: Page) -> None:
    assert page.tags["script"] == page.tags["img"] == 0 and not page.all("onerror")
    assert f"To do: {HOSTILE}" in page.text
    assert f"{HOSTILE}\\x1b[31m" in page.text and "\x1b" not in page.text


def test_each_chart_has_a_title_words_for_who_does_not_see_it_and_a_table(written: Written, page: Page) -> None:
    assert list(written.findings) == CHARTS
    for finding in written.findings.values():
        assert finding in page.text
        assert sum(label.endswith(f"{finding}.") for label in page.all("aria-label")) == 2, "one a layout"
    assert page.tags["svg"] == 2 * len(CHARTS) == page.all("role").count("img")
    assert page.tags["caption"] == len(CHARTS)
    assert page.tags["h1"] == 1 and page.all("lang") == ["en"]


def test_the_pictures_are_beside_the_page(written: Written) -> None:
    assert [file.name for file in written.files] == ["index.html", *[f"{name}.png" for name in CHARTS]]
    for file in written.files[1:]:
        width, height = struct.unpack(">II", file.read_bytes()[16:24])
        assert width == 1_760 and height > 400


def test_the_page_says_that_the_stream_equals_the_batch_by_the_last_verdict(page: Page) -> None:
    assert "Stream equals batch" in page.text and "90 users compared, not one number differs" in page.text


def test_what_is_read_is_the_same_on_every_database(warehouse_url: str) -> None:
    settings = settings_of(warehouse_url)
    with warehouse.connect(settings) as database:
        warehouse.migrate(database, now_ms=1)
        load(database, world(users=30, events=200))
        fill(database)
        assert warehouse.read_period(database) is None
        add_spans(database, (0, 100, 1_003), (1, 1_000, 5_000))
        facts = read(settings, now_ms=5)
        assert [tuple(each) for each in facts.moves] == [
            (HIGH, LOW, "repair", 1), (LOW, HIGH, "model", 3), (LOW, MIDDLE, "behaviour", 5),
        ]  # fmt: skip
        assert facts.period == (1_000, 1_003, True), "what is known of every shard"
        assert facts.verdict is not None and facts.verdict.equal and facts.verdict.reconciled_ms == 2
        assert [each.users for each in facts.sizes if each.segment == LOW] == [0, 10]
        assert [each.silhouette for each in facts.rated[1:]] == [0.9]
        add_spans(database, (1, 6_000, 7_000), (2, 50, 900), (2, 950, 2_000))
        assert warehouse.read_period(database) == (1_000, 1_003, True), "gaps before and after it do not matter"
        add_spans(database, (3, 1_001, 2_000), (4, 50, 1_002), (4, 1_003, 2_000))
        period = warehouse.read_period(database)
        assert period == (1_001, 1_003, False)
        assert sum(each.moves for each in warehouse.read_moves(database, period)) < 9


def run(folder: Path, before: str) -> subprocess.CompletedProcess[str]:
    given = {"KAFKA": "localhost:1", "REDIS_URL": "redis://localhost:1/0", "WAREHOUSE_URL": f"sqlite:///{folder}/w.db"}
    environ = os.environ | {f"SEGMENTER_{name}": value for name, value in given.items()}
    environ |= {"PYTHONPATH": str(Path(segmenter.__file__).parents[1])}
    environ |= {"SEGMENTER_KINDS": ",".join([kind.name for kind in KINDS])}
    command = [sys.executable, "-c", REPORT.format(before=before)]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)


def test_without_a_snapshot_or_matplotlib_the_command_says_what_to_do(tmp_path: Path) -> None:
    with warehouse.connect(Settings(warehouse_url=f"sqlite:///{tmp_path}/w.db", kinds=KINDS)) as database:
        warehouse.migrate(database, now_ms=1)
    for before, said in (
        ("0", "run `segmenter snapshot`"),
        ("sys.modules['matplotlib'] = None", "pip install 'segmenter[report]'"),
    ):
        result = run(tmp_path, before)
        assert result.returncode == 2
        assert said in result.stderr and result.stderr.count("\n") == 1
    assert not list((tmp_path / "report").iterdir())
