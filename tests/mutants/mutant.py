"""A mutant: a patch that breaks one promise, with what must notice it written above the diff.

    Promise: a user is in one audience only.
    Change: the commit script does not remove the user from the audience before.
    Killed by: tests/store/test_machine.py::test_a tests/store/test_commit.py::test_b
    Parts: real

``Killed by`` names tests as pytest does; ``Parts: real`` is there if only the real parts can show it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
TESTS_FAILED = 1


class Mutant(NamedTuple):
    """One patch."""

    path: Path
    promise: str
    change: str
    killed_by: tuple[str, ...]
    needs_real: bool

    @property
    def name(self) -> str:
        """Its file's, without the ending."""
        return self.path.stem


def read(path: Path) -> Mutant:
    """The mutant of a patch file. Raises ValueError if its head lacks a line."""
    head = path.read_text("utf-8").split("\ndiff --git ")[0]
    said = dict(re.findall(r"^([A-Z][a-z ]+): +(\S.*)$", head, re.MULTILINE))
    if missing := {"Promise", "Change", "Killed by"} - said.keys():
        raise ValueError(f"{path.name}: there is no line {', '.join(sorted(missing))}")
    return Mutant(path, said["Promise"], said["Change"], tuple(said["Killed by"].split()), said.get("Parts") == "real")


def every_mutant() -> list[Mutant]:
    """All patches beside this file, by name."""
    return [read(path) for path in sorted(Path(__file__).parent.glob("*.patch"))]


def copy_checkout(to: Path) -> None:
    """Copy what git tracks or would track."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def apply(mutant: Mutant, checkout: Path, *options: str) -> None:
    """Apply the patch there, or with ``-R`` undo it. Raises ValueError if it does not fit."""
    command = ["git", "apply", *options, str(mutant.path)]
    run = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
    if run.returncode:
        raise ValueError(f"{mutant.path.name} does not fit any more: {run.stderr.strip()}")


def run_tests(checkout: Path, tests: tuple[str, ...], environment: dict[str, str], at_once: int = 0) -> tuple[int, str]:
    """Run these tests on a checkout, so many ``at_once``; returns the exit code of pytest, and what it said."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-n", str(at_once), *tests]
    own = environment | {"PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(command, cwd=checkout, env=own, capture_output=True, text=True, errors="replace")
    return run.returncode, run.stdout + run.stderr


def first_failed(said: str) -> str:
    """The test that failed, in what pytest said, or whatever else ended it.

    >>> first_failed("1 failed\\nFAILED tests/store/test_a.py::test_b[embedded] - assert 1 == 2")
    'tests/store/test_a.py::test_b[embedded]'
    """
    found = re.search(r"^(?:FAILED|ERROR) (\S.*?)(?: - |$)", said, re.MULTILINE)
    return found[1] if found else "an error outside of the tests"
