"""The child process of `make fuzz`: one target, under atheris, which ends the process itself.

Usage: python -m tests.fuzz.one TARGET INPUTS SEED FOLDER
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path

CORPUS = Path(__file__).with_name("corpus")
INSTRUMENTED = [
    "producers",
    "segmenter.events",
    "segmenter.events.dead_letters",
    "segmenter.events.sharding",
    "consumers",
]
REPORTS = 10
"""How often a run says how far it is."""


def main(target: str, inputs: int, seed: int, folder: Path) -> None:
    """Fuzz until ``inputs`` have been tried, or one fails. ``folder`` is for what is made on the way."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.fuzz.targets import TARGETS

    check, change = TARGETS[target]
    (folder / "new").mkdir()
    counts: Counter[str] = Counter()
    tried, began = 0, time.monotonic()

    def one_input(data: bytes) -> None:
        nonlocal tried
        counts.update(check(data, folder))
        tried += 1
        if tried % max(inputs // REPORTS, 1) == 0:
            seconds = time.monotonic() - began
            print(f"{target}: {tried:,} inputs in {seconds:.0f} s; {shown(counts)}", flush=True)

    atheris.Setup(
        [
            sys.argv[0],
            f"-runs={inputs}",
            f"-seed={seed}",
            f"-artifact_prefix={CORPUS / target}/",
            "-max_len=12000",
            "-len_control=0",
            "-timeout=20",
            "-reload=0",  # by the clock: no two runs would be alike
            "-print_final_stats=1",
            str(folder / "new"),
            str(CORPUS / target),
        ],
        one_input,
        custom_mutator=lambda data, size, number: change(data, size, number, atheris.Mutate),
    )
    atheris.Fuzz()


def shown(counts: Counter[str]) -> str:
    """The counts, the most frequent first."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
