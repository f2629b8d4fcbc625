"""The chaos: a replay runs through real processes while faults strike them, and in the end everything must add up.

    make chaos                      60 faults on the embedded parts
    make chaos-real                 on Apache Kafka, Redis and MariaDB of this machine
    python -m tests.chaos --break offsets-apart      breaks the promise on purpose: this must not end with 0

Two workers and a sink run; the schedule of faults follows from the seed. Each fault is printed with the point and the
offset it struck, and must for the most part strike while records are in flight. There are five kinds of events, and one
of them is added half-way: sink and workers are restarted one by one, with faults between. The end is compared with
pandas over the replayed file, with a run that nobody disturbed, and with SQL. Exit codes: 0 everything holds, 1
something does not.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.chaos.apart import BREAKS
from tests.chaos.run import Options, run
from tests.chaos.show import Show


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__, allow_abbrev=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--parts", choices=("embedded", "real"), default="embedded", help="what it runs on")
    parser.add_argument("--faults", type=int, default=60, help="how many, at least one of each kind")
    parser.add_argument("--records", type=int, default=2_500, help="how many events are replayed for each fault")
    parser.add_argument("--seed", type=int, default=1, help="chooses the events, the faults and their order")
    parser.add_argument("--break", dest="broken", choices=BREAKS, default="", help="break the promise in this way")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="segmenter-chaos-")).resolve()
    options = Options(asked.parts, asked.faults, asked.records, asked.seed, asked.broken, folder)
    show = Show(sys.stderr if asked.json else sys.stdout)
    ended = run(options, show)
    show.ending(ended)
    if asked.json:
        print(json.dumps({**ended.numbers, "wrong": ended.wrong}))
    return 1 if ended.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
