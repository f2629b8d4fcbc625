"""Mutants made by mutmut of the code that needs no running parts, and what the pure tests make of them.

    make mutants                             all: a few thousand, on every core
    python -m tests.mutants.pure --jobs 1 'segmenter.model.ranks*'
                                             some, by the names that the list of survivors gives them

Which code, and by which tests, is said in pyproject.toml under ``[tool.mutmut]``. A mutant survives if every test that
calls its function passes, or if none does. The survivors are written to `SURVIVORS`, each with its change.
Exit codes: 0 at least `LEAST_KILLED` are killed, 1 fewer are, 2 something is wrong apart from that: the tests do not
pass on the code as it is, or for some mutants they did not run.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]
MUTMUT = Path(sys.executable).with_name("mutmut")
FOLDER = ROOT / "mutants"
SURVIVORS = FOLDER / "survivors.txt"
LEAST_KILLED = 0.85
OUTCOMES = {1: "killed", 3: "killed", 0: "survived", 33: "no tests", 5: "no tests"}
OUTCOMES |= dict.fromkeys((-24, 24, 152), "too slow")
"""What the exit codes mean that mutmut keeps."""
STRANGE = "went wrong"
ALIVE = {"survived", "no tests"}


def main() -> int:
    """Run mutmut, and print how many mutants of each file were killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.pure", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", nargs="*", metavar="NAME", help="which; without it, all; * stands for any text")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at a time")
    asked = parser.parse_args()
    if not MUTMUT.exists():
        parser.error("mutmut is not installed; libcst, which it needs, has no wheel for Intel Macs")
    os.chdir(ROOT)
    shutil.rmtree(FOLDER, ignore_errors=True)
    began = time.monotonic()
    if run(asked.names, asked.jobs):
        return 2
    outcomes = read(asked.names)
    if (wrong := strange(outcomes)) and not run(wrong, jobs=1):
        outcomes = read(asked.names)
    if not any(outcomes.values()):
        print(f"mutants: none is called {' or '.join(asked.names)}", file=sys.stderr)
        return 2
    if wrong := strange(outcomes):
        print(f"mutants: the tests did not run for {len(wrong)} of them, {wrong[0]} for one", file=sys.stderr)
        return 2
    SURVIVORS.write_text("".join(survivors(outcomes)), "utf-8")
    counts = {str(file.relative_to(FOLDER))[: -len(".meta")]: tally(found) for file, found in outcomes.items() if found}
    share = show(counts)
    print(f"{(time.monotonic() - began) / 60:.0f} minutes; the survivors are in {SURVIVORS.relative_to(ROOT)}")
    return 0 if share >= LEAST_KILLED else 1


def run(names: list[str], jobs: int) -> int:
    """Run mutmut to its end, saying now and then how far it is, and all that it said last if that is an error."""
    command = [str(MUTMUT), "run", "--max-children", str(jobs), *names]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    assert process.stdout
    told, lines = 0.0, deque[str](maxlen=40)
    for line in process.stdout:  # a line that it writes over ends in a carriage return, which ends one here, too
        lines.append(line)
        passing = line[0] in "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
        if line.strip() and not (passing and time.monotonic() - told < 30):
            told = time.monotonic()
            print(line.strip(), flush=True)
    if code := process.wait():
        print(*lines, f"mutmut ended with code {code}", sep="", file=sys.stderr)
    return code


def read(names: list[str]) -> dict[Path, dict[str, str]]:
    """What became of each mutant, by file."""
    found: dict[Path, dict[str, str]] = {}
    for file in sorted(FOLDER.rglob("*.py.meta")):
        codes = json.loads(file.read_text("utf-8"))["exit_code_by_key"]
        chosen = [name for name in codes if not names or any(fnmatch(name, each) for each in names)]
        found[file] = {name: OUTCOMES.get(codes[name], STRANGE) for name in chosen}
    return found


def strange(outcomes: dict[Path, dict[str, str]]) -> list[str]:
    """The mutants whose tests did not run."""
    return [name for found in outcomes.values() for name, outcome in found.items() if outcome == STRANGE]


def tally(found: dict[str, str]) -> Counter[str]:
    """How many were killed, because a test failed or did not end, and how many were not."""
    return Counter("survived" if outcome in ALIVE else "killed" for outcome in found.values())


def survivors(outcomes: dict[Path, dict[str, str]]) -> Iterator[str]:
    """The name of each that is alive, and its change."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    for meta, found in outcomes.items():
        for name, outcome in found.items():
            if outcome in ALIVE:
                diff = get_diff_for_mutant(name, path=meta.relative_to(FOLDER).with_suffix(""))
                changed = [line for line in diff.splitlines()[2:] if line[:1] in "+-"]
                yield "\n".join([f"{name} ({outcome})", *changed, "", ""])


def show(counts: dict[str, Counter[str]]) -> float:
    """Print the counts by file and folder; returns the share of all that were killed."""
    folders: dict[str, Counter[str]] = {}
    for file, each in counts.items():
        folders.setdefault(str(Path(file).parent), Counter()).update(each)
    table = Table("of", "mutants", "killed", "%")
    for name, each in sorted((counts | folders).items()):
        killed, style = each["killed"], "bold" if name in folders else ""
        table.add_row(name, str(each.total()), str(killed), f"{100 * killed / each.total():.1f}", style=style)
    Console(highlight=False).print(table)
    total = sum(folders.values(), Counter())
    share = total["killed"] / total.total()
    print(f"{total['killed']} of {total.total()} mutants are killed: {100 * share:.1f} %")
    return share


if __name__ == "__main__":
    sys.exit(main())
