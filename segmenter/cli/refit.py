"""`segmenter refit`: fit the segments afresh now."""

from __future__ import annotations

import time
from typing import Any

from segmenter.cli import common
from segmenter.events import Rules


def refit(*, json: common.Json = False) -> None:
    """Fit the segments afresh on the users of now, and publish that if it is better by a margin."""
    from consumers.trainer import refit as fits
    from segmenter.store.connection import Store, connect
    from segmenter.store.meta import claim
    from segmenter.store.models import read_model

    settings = common.settings("redis_url")
    store = Store(connect(settings), settings)
    claim(store.client, settings, Rules.of(settings))
    adopted = fits.refit(store, time.time_ns() // 1_000_000)
    current = read_model(store.client, settings)
    common.emit({"adopted": adopted, "generation": current.number if current else 0}, json, _show)


def _show(report: dict[str, Any]) -> None:
    if report["adopted"]:
        common.console.print(f"adopted as generation {report['generation']}; workers judge everyone anew")
    elif report["generation"]:
        common.console.print(f"generation {report['generation']} stays: a fresh fit is not better by the margin")
    else:
        common.console.print("there are no users yet")
