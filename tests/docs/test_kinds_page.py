"""The worked example of docs/kinds.md does what the page says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "kinds.md").read_text("utf-8")
SHOP = ROOT / "examples" / "shop"


def blocks(language: str) -> list[str]:
    """The blocks of the page in this language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.timeout(180)
def test_the_shop(tmp_path: Path) -> None:
    """The commands, one after the other, on parts of their own; what the page shows is what they print."""
    folder = tmp_path / "shop"
    shutil.copytree(SHOP, folder)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SEGMENTER_")}
    here = f"{Path(sys.executable).parent}{os.pathsep}{clean['PATH']}"
    environ = clean | {"PATH": here, "PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    (commands,) = blocks("sh")
    script = f"set -e\ntrap 'segmenter down' EXIT\n{commands}"
    done = subprocess.run(["bash", "-c", script], cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shown = [line for block in blocks("text") for line in block.splitlines()]
    assert len(shown) == 5
    assert [line for line in shown if line not in done.stdout.splitlines()] == []


def test_the_files_are_those_of_the_page() -> None:
    assert (SHOP / "segmenter.toml").read_text("utf-8") == blocks("toml")[1]
    assert (SHOP / "shop.csv").read_text("utf-8").startswith(blocks("csv")[0])
