"""What holds of the repository as a whole."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import segmenter

ROOT = Path(__file__).parents[2]
PACKAGES = ("segmenter", "producers", "consumers", "sql")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
REGISTRIES = r"pypi\.org|pythonhosted\.org|repo1?\.maven|maven\.org|npmjs\.|crates\.io|proxy\.golang|deb\.debian\.org"


def text_files() -> list[Path]:
    """What git tracks or would track, as far as it is text."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    paths = [ROOT / name for name in listed.split("\0") if name]
    return [path for path in paths if path.is_file() and is_text(path.read_bytes())]


def is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode()
    except UnicodeDecodeError:
        return False


def named(requirement: str) -> str:
    """The normalised name of the package that a requirement or a pin asks for."""
    name = re.match(r"[\w.-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def pins() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_is_longer_than_250_lines(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 250


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_opens_with_a_docstring(path: Path) -> None:
    assert path.read_text("utf-8").startswith(('"""', 'r"""'))


def test_no_file_names_the_host_of_a_package_registry() -> None:
    this = Path(__file__)
    named_in = [path for path in text_files() if path != this and re.search(REGISTRIES, path.read_text("utf-8"))]
    assert named_in == []


def test_constraints_are_names_and_versions_only() -> None:
    assert pins() == sorted(pins(), key=str.lower)
    assert [pin for pin in pins() if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*", pin)] == []


def test_every_requirement_is_pinned_in_the_constraints() -> None:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    wanted = {named(requirement) for group in groups for requirement in group} - {"segmenter"}
    assert wanted - {named(pin) for pin in pins()} == set()


def test_the_version_is_the_same_everywhere() -> None:
    newest = re.search(r"^## \[(\d[^]]*)]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert newest
    assert segmenter.__version__ == newest[1]


FOLDERS = sorted({path.parent for path in MODULES})


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_folder_says_in_one_sentence_what_is_inside(folder: Path) -> None:
    """The first paragraph of its ``__init__.py`` is one sentence on one line."""
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8"))) or ""
    sentence, *_ = docstring.split("\n\n")
    assert re.fullmatch(r"[A-Z`][^\n]{20,}\.", sentence), sentence


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_folder_holds_more_than_fourteen_modules(folder: Path) -> None:
    """Except for the command, which has one file per verb."""
    assert len(list(folder.glob("[!_]*.py"))) <= 14 or folder.name == "cli"
