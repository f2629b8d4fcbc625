"""The Makefile says what it can do."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


def dry_run(*arguments: str) -> str:
    """What `make` would do, whatever options the `make` that runs the tests has."""
    command = ["make", "--no-print-directory", "--dry-run", *arguments]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "ARGS"))}
    return subprocess.run(command, cwd=ROOT, env=environ, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("asked", [[], ["help"]], ids=["make", "make help"])
def test_help_lists_every_target(asked: list[str]) -> None:
    help = subprocess.run(["make", *asked], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert re.findall(r"^  make ([a-z-]+) ", help, re.MULTILINE) == TARGETS


@pytest.mark.parametrize("target", ["demo", "test", "lint", "fuzz"])
def test_a_target_installs_what_it_needs(target: str) -> None:
    assert dry_run(target).splitlines()[0].endswith("scripts/install")


def test_demo_takes_a_recorded_file() -> None:
    line = dry_run("demo", "INPUT=my events.csv", "MAPPING=m.toml").splitlines()[-1]
    assert line.split(None, 1)[1].split() == [
        "-m",
        "segmenter",
        "demo",
        "--input",
        '"my',
        'events.csv"',
        "--mapping",
        '"m.toml"',
    ]
