"""A long life: users come, change and fall silent, processes come and go, and nothing may grow or get out of step.

    make soak                       an hour on the embedded parts
    python -m tests.soak --minutes 10 --seed 7
    python -m tests.soak --break leaves-keys --minutes 0     breaks something on purpose: this must not end with 0

Two workers with the trainer, a sink, snapshots that remove old ones, and lookups run all the time, with the clock of
the model turned up (`tests.soak.hasty`). A life is made of cycles of phases: growth, a change of behaviour, restarts, a
warm-up, a steady time, silence of most users. After each phase all must catch up, and everything is checked by other
routes: Redis key by key, the warehouse by SQL, profiles by pandas, logs line by line. Exit codes: 0 everything holds,
1 something does not.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.soak.apart import BREAKS
from tests.soak.run import Options, run
from tests.soak.show import Show


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__, allow_abbrev=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--minutes", type=float, default=60, help="how long it lasts; at least a whole cycle")
    parser.add_argument("--phases", type=int, default=0, help="end after so many phases")
    parser.add_argument("--seconds", type=float, default=30, help="how long events arrive in each phase")
    parser.add_argument("--rate", type=int, default=150, help="how many events arrive in a second")
    parser.add_argument("--users", type=int, default=400, help="how many users there are after the first phase")
    parser.add_argument("--most", type=int, default=3_000, help="up to how many users they double in each cycle")
    parser.add_argument("--seed", type=int, default=1, help="chooses what users do, and how processes end")
    parser.add_argument("--break", dest="broken", choices=BREAKS, default="", help="break something in this way")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="segmenter-soak-")).resolve()
    options = Options(
        minutes=asked.minutes,
        phases=asked.phases,
        seconds=asked.seconds,
        rate=asked.rate,
        first=asked.users,
        most=asked.most,
        seed=asked.seed,
        broken=asked.broken,
        folder=folder,
    )
    show = Show(sys.stderr if asked.json else sys.stdout)
    show.say(f"a life of {asked.minutes:g} minutes by seed {asked.seed}, logs in {folder}")
    ended = run(options, show)
    for wrong in ended.wrong:
        show.say(f"DOES NOT HOLD: {wrong}")
    show.say("" if ended.wrong else "everything holds")
    if asked.json:
        print(json.dumps({**ended.numbers, "wrong": ended.wrong}))
    return 1 if ended.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
