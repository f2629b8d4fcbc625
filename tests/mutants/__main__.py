"""The mutants made by hand: each patch here is applied to a copy of the checkout, and its tests must turn red.

    make mutants-by-hand                     those that the embedded parts can show
    make mutants-by-hand-real                all of them, on Apache Kafka, Redis and MariaDB of this machine
    python -m tests.mutants NAME...          some, by file name without .patch

The tests are first run on an unchanged copy, where they must pass. Exit codes: 0 at least nine in ten are killed,
1 fewer are, 2 a patch or its tests are wrong by themselves.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from rich.console import Console
from rich.table import Table

from tests.mutants.mutant import TESTS_FAILED, Mutant, apply, copy_checkout, every_mutant, first_failed, run_tests

LEAST_KILLED = 0.9


def main() -> int:
    """Run the chosen mutants, and print which of them were killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", nargs="*", metavar="NAME", help="which mutants; without it, all")
    parser.add_argument(
        "--jobs", type=int, default=2 * (os.cpu_count() or 1), help="how many at a time: they wait a lot"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    asked = parser.parse_args()
    real = os.environ.get("SEGMENTER_TEST_REAL") == "1"
    known = {mutant.name: mutant for mutant in every_mutant()}
    if unknown := set(asked.names) - known.keys():
        parser.error(f"no such mutant: {', '.join(sorted(unknown))}")
    chosen = [known[name] for name in asked.names or known if real or not known[name].needs_real]
    console = Console(file=sys.stderr if asked.json else sys.stdout, highlight=False)
    try:
        killed = dict(_run(chosen, asked.jobs, console))
    except ValueError as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 2
    survivors = [mutant.name for mutant in chosen if not killed[mutant.name]]
    _show(console, chosen, survivors, len(known) - len(chosen) if not asked.names else 0)
    if asked.json:
        print(json.dumps({"mutants": len(chosen), "killed": len(chosen) - len(survivors), "survivors": survivors}))
    return 0 if len(survivors) <= (1 - LEAST_KILLED) * len(chosen) else 1


def _run(chosen: list[Mutant], jobs: int, console: Console) -> Iterator[tuple[str, str]]:
    """Which test killed each, empty if none did. Raises ValueError if a mutant is wrong by itself."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        checkouts: SimpleQueue[Path] = SimpleQueue()
        for number in range(jobs):
            copy_checkout(Path(folder, str(number)))
            checkouts.put(Path(folder, str(number)))
        tests = tuple(sorted({test for mutant in chosen for test in mutant.killed_by}))
        console.print(f"the {len(tests)} tests of {len(chosen)} mutants on the code as it is", markup=False)
        code, said = run_tests(Path(folder, "0"), tests, dict(os.environ), at_once=jobs)
        if code:
            raise ValueError(f"they do not pass:\n{said}")

        def killer(mutant: Mutant) -> str:
            checkout = checkouts.get()
            try:
                return _killer(mutant, checkout)
            finally:
                checkouts.put(checkout)

        for mutant, test in zip(chosen, pool.map(killer, chosen), strict=True):
            outcome = f"killed   {mutant.name} by {test}" if test else f"SURVIVES {mutant.name}"
            console.print(outcome, markup=False, soft_wrap=True)
            yield mutant.name, test


def _killer(mutant: Mutant, checkout: Path) -> str:
    apply(mutant, checkout)
    try:
        code, said = run_tests(checkout, mutant.killed_by, dict(os.environ))
    finally:
        apply(mutant, checkout, "-R")
    if code not in (0, TESTS_FAILED):
        raise ValueError(f"{mutant.path.name}: its tests did not run:\n{said}")
    return first_failed(said) if code == TESTS_FAILED else ""


def _show(console: Console, chosen: list[Mutant], survivors: list[str], left_out: int) -> None:
    table = Table("survivor", "promise", "change")
    for mutant in chosen:
        if mutant.name in survivors:
            table.add_row(mutant.name, mutant.promise, mutant.change)
    if survivors:
        console.print(table)
    console.print(f"{len(chosen) - len(survivors)} of {len(chosen)} mutants are killed")
    if left_out:
        console.print(f"{left_out} need the real parts: `make mutants-by-hand-real` runs those too")


if __name__ == "__main__":
    sys.exit(main())
