"""The worker: keeps the live store exactly as the log says."""

from __future__ import annotations

from consumers.worker.loop import WorkerResult
from consumers.worker.run import run

__all__ = ["WorkerResult", "run"]
