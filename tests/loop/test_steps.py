"""The README's steps, each in a process of its own, as a newcomer types them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from segmenter.settings import Settings

README = Path(__file__).parents[2] / "README.md"


def run(command: str, environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """One command line, with this interpreter's `segmenter`."""
    words = shlex.split(command, comments=True)
    assert words[0] == "segmenter"
    line = [sys.executable, "-m", *words]
    return subprocess.run(line, env=environment, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def steps() -> list[str]:
    """The commands of the README's section on the steps."""
    (block,) = re.findall(r"## In steps\n.*?```sh\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    return [line for line in block.splitlines() if line.startswith("segmenter ")]


def bare(environment: dict[str, str]) -> dict[str, str]:
    """The environment without any setting of ours."""
    return {name: value for name, value in environment.items() if not name.startswith("SEGMENTER_")}


@pytest.mark.timeout(400)
def test_the_steps_of_the_readme(tmp_path: Path) -> None:
    """From `up` to `down` on the embedded stack, every command ends with 0 and the verdict is that nothing differs."""
    commands = steps()
    verbs = [command.split()[1] for command in commands]
    needed = "up generate worker sink lookup snapshot reconcile segments status down"
    assert [verb for verb in needed.split() if verb not in verbs] == []
    said: dict[str, str] = {}
    try:
        for command in commands:
            done = run(command, bare(dict(os.environ)), tmp_path)
            assert done.returncode == 0, f"{command}: {done.stderr}"
            said[command.split()[1]] = done.stdout
    finally:
        run("segmenter down", bare(dict(os.environ)), tmp_path)
    assert "differing 0, missing 0, extra 0" in said["reconcile"]
    assert (tmp_path / ".segmenter" / "warehouse.db").exists()


def test_the_steps_as_programs_see_them(settings: Settings, environment: dict[str, str], tmp_path: Path) -> None:
    """On parts named by variables, each with --json."""

    def said(command: str) -> Any:
        done = run(f"segmenter {command} --json", environment, tmp_path)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return json.loads(done.stdout)

    assert said("generate --events 2000 --users 100 --invalid 12")["published"] == 2_012
    assert said("worker --once")["records"] == 2_012
    assert sum(said("sink --once")["loaded"].values()) == 2_000
    assert said("snapshot")["users"] == 100
    verdict = said("reconcile")
    assert [verdict[name] for name in ("compared", "differing", "missing", "extra")] == [100, 0, 0, 0]
    segments = said("segments")
    assert sum(segment["users"] for segment in segments["segments"]) == 100
    assert [segment["slug"] for segment in segments["segments"]] == list(settings.segments)
    assert segments["provisional"]
    assert said("dead-letters")["total"] == 12
    status = said("status")
    assert (status["folded"], sum(status["dead_letters"].values()), status["lag"]) == (2_000, 12, 0)
    known, unknown = said("lookup u1 nobody")["users"]
    assert known["segment"] in settings.segments and unknown["segment"] == "unknown"
    assert said("refit")["generation"] == status["generation"]
    assert said("rename highly_engaged 'Our fans'")["generation"] == status["generation"] + 1
    assert [segment["name"] for segment in said("segments")["segments"]][-1] == "Our fans"
    assert said("report")["files"][0] == "report/index.html"


@pytest.mark.parametrize("verb", ["generate", "worker --once", "sink --once", "lookup u1", "snapshot", "reconcile"])
def test_without_a_stack_a_verb_says_what_to_do(verb: str, tmp_path: Path) -> None:
    done = run(f"segmenter {verb}", bare(dict(os.environ)), tmp_path)
    assert done.returncode == 3
    assert done.stderr.startswith("error: no stack here: run `segmenter up`, or set SEGMENTER_")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "verb, name, value",
    [
        ("generate", "SEGMENTER_KAFKA", "127.0.0.1:1"),
        ("lookup u1", "SEGMENTER_REDIS_URL", "redis://127.0.0.1:1/0"),
        ("migrate", "SEGMENTER_WAREHOUSE_URL", "mysql+pymysql://u:secret@127.0.0.1:1/x"),
    ],
)
def test_a_part_that_cannot_be_reached_is_named(verb: str, name: str, value: str, tmp_path: Path) -> None:
    done = run(f"segmenter {verb}", bare(dict(os.environ)) | {name: value}, tmp_path)
    assert done.returncode == 3
    assert "127.0.0.1:1" in done.stderr and "Traceback" not in done.stderr and "secret" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "verb, name, value",
    [
        ("lookup u1", "SEGMENTER_REDIS_URL", "redis://127.0.0.1:1/0?foo=secret"),
        ("migrate", "SEGMENTER_WAREHOUSE_URL", "mysql+pymysql://u:secret@127.0.0.1:1/x?foo=bar"),
        ("migrate", "SEGMENTER_WAREHOUSE_URL", "mysql+pymysql://u:secret@127.0.0.1:1/?charset=utf8mb4"),
    ],
)
def test_a_url_that_cannot_be_used_is_named(verb: str, name: str, value: str, tmp_path: Path) -> None:
    done = run(f"segmenter {verb}", bare(dict(os.environ)) | {name: value}, tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {name} ") and len(done.stderr.splitlines()) == 1
