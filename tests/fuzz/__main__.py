"""`make fuzz`: decoder and mapping reader under atheris, each in a process of its own.

Exit codes: 0 nothing found, 1 something found, which is then a file of the corpus, 2 wrong usage, or no atheris here.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.one import CORPUS

TARGETS = ("decoder", "mapping")


def main() -> int:
    """Share the inputs among the targets, and name what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="decoder|mapping", help="what to fuzz; without it, both")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="how many in all")
    parser.add_argument("--seed", type=int, default=1, help="the same seed tries the same inputs")
    asked = parser.parse_args()
    if unknown := set(asked.targets) - set(TARGETS):
        parser.error(f"{', '.join(sorted(unknown))}: there are {' and '.join(TARGETS)}")
    if importlib.util.find_spec("atheris") is None:
        print("fuzz: no atheris here: make fuzz needs Python 3.11 on Linux x86-64 with glibc.", file=sys.stderr)
        return 2
    targets = asked.targets or TARGETS
    found = [path for target in targets for path in fuzz(target, -(-asked.inputs // len(targets)), asked.seed)]
    for path in found:
        print(f"found: {path}; to see it again: make test ARGS='tests/fuzz -k {path.name}'")
    return 1 if found else 0


def fuzz(target: str, inputs: int, seed: int) -> list[Path]:
    """The inputs that broke a promise: none or one."""
    before = set((CORPUS / target).iterdir())
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        command = [sys.executable, "-m", "tests.fuzz.one", target, str(inputs), str(seed), folder]
        repeatable = os.environ | {"PYTHONHASHSEED": "0"}
        child = subprocess.run(command, env=repeatable, stderr=subprocess.PIPE, text=True, errors="replace")
    reached = re.findall(r"^#\d+\s+DONE\s+cov: (\d+)", child.stderr, re.MULTILINE)
    found = sorted(set((CORPUS / target).iterdir()) - before)
    if not reached or found:
        print(re.sub(r"^#\d.*\n", "", child.stderr, flags=re.MULTILINE), file=sys.stderr)
    if not reached and not found:
        raise SystemExit(f"fuzz: {target} did not get to its end, as said above.")
    print(f"{target}: " + ("a promise is broken" if found else f"nothing found; {reached[0]} branches reached"))
    return found


if __name__ == "__main__":
    sys.exit(main())
