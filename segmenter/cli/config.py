"""Show the settings in force."""

from __future__ import annotations

from typing import Any

from cyclopts import App
from rich.table import Table

from segmenter import settings as every_setting
from segmenter.cli import common

config = App(name="config")


@config.command
def show(*, json: common.Json = False) -> None:
    """Show every setting with its value, where the value came from, and what it means; passwords are masked."""
    found, sources = every_setting.load_with_sources()
    values = {name: {"value": value, "source": sources[name]} for name, value in found.shown().items()}
    common.emit(values, json, _show)


def _show(values: dict[str, Any]) -> None:
    table = Table("setting", "value", "from", "meaning", box=None, pad_edge=False)
    for name, row in values.items():
        value = ",".join(row["value"]) if isinstance(row["value"], tuple) else str(row["value"])
        table.add_row(name, value, row["source"], every_setting.FIELDS[name].metadata["meaning"])
    common.console.print(table, markup=False)
