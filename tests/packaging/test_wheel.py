"""What a user gets who installs the wheel."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHIPPED = {".css", ".html", ".lua", ".py", ".sql", ".typed"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.mark.parametrize("package", ["segmenter", "producers", "consumers", "sql"])
def test_every_module_statement_and_script_is_in_the_wheel(wheel: zipfile.ZipFile, package: str) -> None:
    paths = {path.relative_to(ROOT).as_posix() for path in (ROOT / package).rglob("*") if path.suffix in SHIPPED}
    assert paths
    assert paths == {name for name in wheel.namelist() if name.startswith(f"{package}/")}


def test_the_wheel_holds_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"segmenter", "producers", "consumers", "sql"}


def test_the_wheel_brings_the_command_and_the_licence(wheel: zipfile.ZipFile) -> None:
    (about,) = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    assert "segmenter = segmenter.cli:main" in wheel.read(f"{about}/entry_points.txt").decode()
    assert "MIT License" in wheel.read(f"{about}/licenses/LICENSE").decode()
