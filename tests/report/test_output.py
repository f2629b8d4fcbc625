"""The files of the report: as a whole or not at all, and a folder that cannot be written to is said before any work."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from segmenter.errors import UsageError
from segmenter.operations.report import report
from segmenter.report.output import put
from segmenter.report.page import write
from segmenter.settings import Settings
from tests.report.made import facts


@pytest.mark.parametrize("name", ["/proc", "/proc/report", "users.csv", "users.csv/report"])
def test_a_folder_that_cannot_be_written_to_is_said_before_anything_is_read(name: str, tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("user\n")
    nowhere = Settings(warehouse_url=f"sqlite:///{tmp_path}/none/w.db")
    with pytest.raises(UsageError, match=r"report cannot be written into .*\. Name another folder, or make room"):
        report(nowhere, tmp_path / name, now_ms=1)
    assert [file.name for file in tmp_path.iterdir()] == ["users.csv"]


def test_what_cannot_be_written_as_a_whole_leaves_the_files_of_before(tmp_path: Path) -> None:
    put(tmp_path, {"a.png": b"old", "index.html": b"old"}, ())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(UsageError, match="cannot be written into"):
            put(tmp_path, {"a.png": bytes(100_001), "index.html": b"new"}, ())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"a.png": b"old", "index.html": b"old"}


def test_pictures_of_before_that_are_not_drawn_now_are_removed_and_no_other_files(tmp_path: Path) -> None:
    for name in ("moves.png", "mine.png", "segments.png"):
        (tmp_path / name).write_bytes(b"old")
    charts, files = write(facts([("low", 4, 2_000.0)], {"low": "Low"}), tmp_path)
    drawn = {f"{chart.slug}.png" for chart in charts if chart.draw}
    assert "segments.png" in drawn and "moves.png" not in drawn
    assert {file.name for file in files} == drawn | {"index.html"}
    assert {file.name for file in tmp_path.iterdir()} == drawn | {"index.html", "mine.png"}
    assert b"old" not in {file.read_bytes() for file in files}
