"""The demo as a program runs it: one JSON object, a proof, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil
import pytest

from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter.operations import demo
from segmenter.settings import Settings

SMALL = ["demo", "--json", "--events", "3000", "--users", "200"]


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """The command, in an environment that is meant for a Kafka elsewhere."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SEGMENTER_")}
    environment |= {f"SEGMENTER_KAFKA_{name}": "on" for name in ("TLS", "USER", "PASSWORD")}
    return subprocess.Popen(
        [sys.executable, "-m", "segmenter", *arguments],
        cwd=folder,
        env=environment | {"TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_demo_proves_itself(tmp_path: Path) -> None:
    process = start(tmp_path, *SMALL)
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    report = json.loads(out)
    assert report["events"] == 3_000 and report["dead_letters"] == 0
    assert report["reconcile"] == {"compared": report["users"], "differing": 0, "missing": 0, "extra": 0}
    assert sum(segment["users"] for segment in report["segments"]) == report["users"]
    assert all((tmp_path / file).stat().st_size > 10_000 for file in report["files"])
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_a_recorded_file(tmp_path: Path) -> None:
    """Rows that do not become events are counted, and the sums add up without them."""
    (tmp_path / "log.csv").write_text("who,when,did,ms\nBob,1,look,5\nbob,2,find,\n,3,look,1\nBob,4,look,x\n", "utf-8")
    (tmp_path / "log.toml").write_text(
        'format = "csv"\n[columns]\nuser_id = "who"\n[time]\ncolumn = "when"\nformat = "unix_s"\n'
        '[kind]\ncolumn = "did"\nvalues = { look = "view", find = "search" }\n[duration]\ncolumn = "ms"\n',
        "utf-8",
    )
    process = start(tmp_path, "demo", "--json", "--input", "log.csv", "--mapping", "log.toml")
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    report = json.loads(out)
    assert report["sums"]["read"] == 4
    assert report["sums"]["published"] == 2 == report["sums"]["raw_rows"] == report["users"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_running(number: signal.Signals, tmp_path: Path, until: Callable[..., None]) -> None:
    """Whatever ends the demo in the middle, its broker and its Redis end too, and their folder goes."""
    process = start(tmp_path, "demo", "--events", "2000000")
    children: list[psutil.Process] = []

    def up() -> bool:
        children[:] = psutil.Process(process.pid).children(recursive=True)
        return {"redis-server", "tansu"} <= {child.name() for child in children}

    until(up)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == {signal.SIGINT: 130}.get(number, -number)
    until(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children))
    until(lambda: not list(tmp_path.glob("segmenter-*")))


def test_half_of_a_pair_is_refused(tmp_path: Path) -> None:
    process = start(tmp_path, "demo", "--input", "log.csv")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.startswith("error: --input and --mapping go together")


def test_a_file_without_events_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("who,when\n,1\n", "utf-8")
    (tmp_path / "log.toml").write_text(
        'format = "csv"\n[columns]\nuser_id = "who"\n[time]\ncolumn = "when"\nformat = "unix_s"\n'
        '[kind]\ndefault = "click"\n',
        "utf-8",
    )
    process = start(tmp_path, "demo", "--input", "log.csv", "--mapping", "log.toml")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "error: none of the 1 rows became an event: " in errors and "Traceback" not in errors


def test_a_demo_that_does_not_add_up_says_so(settings: Settings, tmp_path: Path) -> None:
    """Somebody else publishes to its topics: stream and batch are equal, but they hold more than was published."""
    publish(settings, generate(7, 5, seed=2))
    found, _ = demo.run(settings, generate(400, 60, seed=1), 400, tmp_path)
    assert found.reconcile["differing"] + found.reconcile["missing"] + found.reconcile["extra"] == 0
    assert (found.sums.published, found.sums.folded, found.sums.raw_rows) == (400, 407, 407)
    assert not found.equal


@pytest.mark.parametrize("name", ["published", "folded", "duplicates", "dead_letters", "raw_rows"])
def test_one_record_too_many_anywhere_does_not_add_up(name: str) -> None:
    right = demo.Sums(read=110, published=100, refused=10, folded=90, duplicates=7, dead_letters=3, raw_rows=97)
    assert right.add_up
    assert not msgspec.structs.replace(right, **{name: getattr(right, name) + 1}).add_up
