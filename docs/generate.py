"""Write the reference pages from the code they describe; with ``--check`` name those that are stale, and end with 1."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from generator import cli, events, redis, settings

FOLDER = Path(__file__).parent
PAGES: dict[str, Callable[[], str]] = {
    "cli.md": cli.page,
    "events.md": events.page,
    "event.schema.json": events.schema,
    "priced-event.schema.json": lambda: events.schema(events.PricedEvent),
    "redis.md": redis.page,
    "settings.md": settings.page,
}


def main(arguments: list[str]) -> int:
    """Write or check every page."""
    if arguments not in ([], ["--check"]):
        print("usage: python docs/generate.py [--check]", file=sys.stderr)
        return 2
    fresh = {FOLDER / name: page() for name, page in PAGES.items()}
    stale = [file for file, text in fresh.items() if not file.exists() or file.read_text("utf-8") != text]
    for file in stale:
        if arguments:
            print(f"docs/{file.name} is stale: run `python docs/generate.py`.", file=sys.stderr)
        else:
            file.write_text(fresh[file], "utf-8")
            print(f"wrote docs/{file.name}")
    return 1 if arguments and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
