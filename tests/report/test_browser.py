"""The page in a browser: Chromium says how wide it gets, how large its letters are, and how they stand out."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from segmenter.operations.report import Written

pytestmark = pytest.mark.xdist_group("report")

CHROMIUM = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)
MEASURE = """
<script>
addEventListener("load", () => {
  const channels = text => (text.match(/[\\d.]+/g) || []).map(Number)
  const linear = part => part <= 10.31475 ? part / 3294.6 : ((part / 255 + 0.055) / 1.055) ** 2.4
  const bright = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
  const behind = node => {
    for (let each = node; each; each = each.parentElement) {
      const colour = channels(getComputedStyle(each).backgroundColor)
      if (colour.length == 3 || colour[3] == 1) return colour
    }
  }
  const found = []
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some(each => each.nodeType == 3 && each.data.trim())
    if (!own || !node.checkVisibility()) continue
    const style = getComputedStyle(node), drawn = node instanceof SVGElement
    const size = parseFloat(style.fontSize) * (drawn ? Math.hypot(node.getScreenCTM().a, node.getScreenCTM().b) : 1)
    const [one, other] = [bright(channels(drawn ? style.fill : style.color)), bright(behind(node))]
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)
    found.push({text: node.textContent.trim().slice(0, 40), size, contrast, drawn})
  }
  const wide = document.scrollingElement
  const out = {width: wide.scrollWidth, room: wide.clientWidth, paper: bright(behind(document.body)), found}
  parent.postMessage(out, "*")
})
</script>
"""
FRAMES = """<!doctype html><title>waiting</title><body>
<script>
const said = []
addEventListener("message", event => {
  said.push(event.data)
  if (said.length == WIDTHS) document.body.textContent = JSON.stringify(said)
})
</script>
"""
WIDTHS = (390, 1_280)


def measured(written: Written, folder: Path, dark: bool) -> list[dict[str, Any]]:
    """What Chromium says of the page in frames of these widths, all tables open."""
    assert CHROMIUM
    source = written.files[0].read_text("utf-8").replace("<details>", "<details open>")
    source = re.sub("<meta http-equiv.*?>", "", source) + MEASURE  # the page forbids scripts
    escaped = source.replace("&", "&amp;").replace('"', "&quot;")
    frames = [f'<iframe style="border: 0; width: {width}px" srcdoc="{escaped}"></iframe>' for width in WIDTHS]
    page = folder / "frames.html"
    page.write_text(FRAMES.replace("WIDTHS", str(len(WIDTHS))) + "".join(frames), "utf-8")
    command = [
        *(CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
        *("--virtual-time-budget=5000", f"--user-data-dir={folder}/home"),
        *(f"--blink-settings=preferredColorScheme={0 if dark else 1}", "--dump-dom", page.as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    (said,) = re.findall(r"<body[^>]*>(.*)</body>", done.stdout, re.DOTALL)
    found: list[dict[str, Any]] = json.loads(unescape(said))
    return found


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_nothing_scrolls_sideways_and_every_letter_can_be_read(written: Written, tmp_path: Path, dark: bool) -> None:
    frames = measured(written, tmp_path, dark)
    assert sorted(each["room"] for each in frames) == sorted(WIDTHS)
    for each in frames:
        assert each["width"] <= each["room"]
        assert sum(letters["drawn"] for letters in each["found"]) > 100
        assert (each["paper"] < 0.1) == dark
        assert not [letters for letters in each["found"] if letters["size"] < 12]
        assert not [letters for letters in each["found"] if letters["contrast"] < 4.5]
