"""`segmenter rename`: a name of your own for a segment."""

from __future__ import annotations

import time
from typing import Any

from segmenter.cli import common


def rename(slug: str, name: str, /, *, json: common.Json = False) -> None:
    """Give a segment a name of your own. It stays with the users of the segment when its rank changes.

    Parameters
    ----------
    slug
        The slug that the segment has now.
    name
        The new name; the name of the slug, such as "Highly engaged", undoes it.
    """
    from consumers.trainer import refit

    generation = refit.rename(common.settings("redis_url"), slug, name, time.time_ns() // 1_000_000)
    common.emit({"slug": slug, "name": name, "generation": generation.number}, json, _show)


def _show(report: dict[str, Any]) -> None:
    line = f"{report['slug']} is {report['name']!r} from generation {report['generation']} on"
    common.console.print(line, markup=False)
