"""What is printed of a run: a line per fault, and the numbers at the end."""

from __future__ import annotations

from typing import IO

from rich.console import Console
from rich.table import Table

from tests.chaos.faults import Struck
from tests.chaos.verdict import Ending


class Show:
    """Prints it to a stream."""

    def __init__(self, stream: IO[str]) -> None:
        self._console = Console(file=stream, highlight=False, width=None if stream.isatty() else 200)

    def say(self, text: str) -> None:
        """A line."""
        self._console.print(text, markup=False, soft_wrap=True)

    def fault(self, number: int, struck: Struck, seconds: float) -> None:
        """One fault that struck, and how long it took until all was back."""
        flying = f"{struck.in_flight:,} records in flight" if struck.in_flight else "nothing in flight"
        what = " ".join(filter(None, [struck.kind, struck.at]))
        self.say(f"{number:>3} {what}; {flying}, back after {seconds:.1f} s")

    def ending(self, ended: Ending) -> None:
        """The numbers, and what does not hold."""
        table = Table(show_header=False)
        for name, value in ended.numbers.items():
            table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else str(value))
        self._console.print(table)
        for wrong in ended.wrong:
            self.say(f"DOES NOT HOLD: {wrong}")
        if not ended.wrong:
            self.say("everything holds")
