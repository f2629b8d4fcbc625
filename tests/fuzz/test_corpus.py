"""Every input of the corpus again, as `make fuzz` tries it: seeds, and all that was ever found."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from segmenter.events import REASONS
from tests.fuzz.targets import TARGETS

INPUTS = sorted(Path(__file__).with_name("corpus").glob("*/*"))


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_no_promise_is_broken(path: Path, tmp_path: Path) -> None:
    check, _ = TARGETS[path.parent.name]
    assert check(path.read_bytes(), tmp_path).total() > 0


@pytest.mark.parametrize(
    "target, reached",
    [
        ("decoder", {"events", "repeats", *REASONS}),
        (
            "mapping",
            {"published", "MappingError", "UsageError", "no user", "no time", "no duration", "no amount", "not a row"},
        ),
    ],
)
def test_the_corpus_gets_everywhere(target: str, reached: set[str], tmp_path: Path) -> None:
    """Fuzzing that began at refusals only would show nothing about events."""
    counts: Counter[str] = Counter()
    for path in INPUTS:
        if path.parent.name == target:
            counts += TARGETS[target][0](path.read_bytes(), tmp_path)
    assert reached <= counts.keys()


@pytest.mark.parametrize("target", TARGETS)
def test_a_change_is_repeatable_and_fits(target: str) -> None:
    """So a run with the same seed finds the same."""
    change = TARGETS[target][1]
    inputs = [path.read_bytes() for path in INPUTS if path.parent.name == target]
    for seed in range(200):
        before = Random(seed).choice(inputs)
        after, again = (change(before, 500, seed, lambda data, size: data[:size]) for _ in range(2))
        assert after == again and len(after) <= 500
