"""The processes of a long life, and what is asked of them when they have caught up."""

from __future__ import annotations

import json
import queue
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil

from segmenter.client import Answer, SegmentClient
from segmenter.operations import snapshot
from segmenter.operations.integrity.verify import verify
from segmenter.operations.reconcile import reconcile
from segmenter.settings import Settings
from segmenter.store.connection import connect
from segmenter.store.models import read_model
from segmenter.store.shards import read_shards
from tests.chaos.processes import ROOT, Child, environment_of
from tests.soak import picture
from tests.soak.limits import SNAPSHOTS_KEPT
from tests.soak.people import People

WAIT_SECONDS = 180.0
SETTLED_SECONDS = 1.0
"""For so long no generation is published before a model counts as settled."""

SINK_SECONDS = 30.0
LOOKUPS_AT_ONCE = 500
HASTY = "tests.soak.hasty"


class NotBack(Exception):
    """Something that must happen does not."""


class Asker:
    """The process that looks users up all the time."""

    def __init__(self, seed: int, environment: dict[str, str], folder: Path) -> None:
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        with (folder / "asker.log").open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.soak.asker", str(seed)],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.pid = self._process.pid
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(json.loads(line))

    def told(self, users: int) -> dict[str, Any]:
        """What it has seen since the last time; from now on it asks for so many users."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{users}\n")
            self._process.stdin.flush()
            return self._answers.get(timeout=30)
        except (BrokenPipeError, queue.Empty):
            raise NotBack("the process that looks users up does not answer; see asker.log") from None

    def end(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


class Life:
    """All that runs, on parts that hold nothing of ours yet."""

    def __init__(self, settings: Settings, supervisor: int, folder: Path, seed: int, broken: str) -> None:
        self.settings = settings
        self.folder = folder
        self.rng = random.Random(seed)
        self.people = People(seed)
        self.environment = environment_of(settings, SOAK_BREAK=broken)
        self.client = connect(settings)
        self.workers = [Child(f"worker {number}", "worker", self.environment, folder, HASTY) for number in (1, 2)]
        self.sink = Child("sink", "sink", self.environment, folder, HASTY)
        keeping = f"snapshot --every 4 --keep {SNAPSHOTS_KEPT}"
        self.snapshotter = Child("snapshotter", keeping, self.environment, folder, HASTY)
        self.asker = Asker(seed, self.environment, folder)
        self._parts = {each.name(): each.pid for each in psutil.Process(supervisor).children()}
        for child in self.children():
            child.start()

    def children(self) -> list[Child]:
        """The processes that may be struck."""
        return [*self.workers, self.sink, self.snapshotter]

    def pids(self) -> dict[str, int]:
        """The processes whose memory is bounded, and the broker, which keeps the log in its memory."""
        ours = {child.name: child.pid for child in self.children()} | {"asker": self.asker.pid}
        return ours | {name.replace("tansu", "broker"): pid for name, pid in self._parts.items()}

    def refit(self) -> Iterator[str]:
        """Somebody asks for a refit."""
        with (self.folder / "refit.log").open("a") as log:
            line = [sys.executable, "-m", HASTY, "refit"]
            with subprocess.Popen(
                line, cwd=ROOT, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log
            ) as process:
                code = process.wait(120)
        if code:
            yield f"`segmenter refit` ended with {code}; see refit.log"

    def await_back(self) -> None:
        """Wait until every worker has acquired shards since it was started."""
        self.until(
            lambda: all("shard acquired" in child.said() for child in self.workers), "not every worker has a shard"
        )

    def await_caught_up(self) -> None:
        """Wait until everything is read, judged and loaded, and the model is settled."""
        records = sum(self.people.records.values())

        def done() -> bool:
            states = read_shards(self.client, self.settings).values()
            model = read_model(self.client, self.settings)
            number = model.number if model else 0
            read = sum(sum((state.offsets or {}).values()) for state in states)
            return read >= records <= self._loaded() and all(state.generation == number for state in states)

        self.until(done, "not everything is read, judged and loaded")
        self.until(lambda: self._settled(done), "the model does not settle")

    def _loaded(self) -> int:
        return int(self.in_warehouse("SELECT COALESCE(SUM(next_pos), 0) FROM sink_offsets"))

    def _settled(self, done: Callable[[], bool]) -> bool:
        """Whether nothing is written for a while, nor a refit going on."""
        before = {number: state.version for number, state in read_shards(self.client, self.settings).items()}
        time.sleep(SETTLED_SECONDS)
        after = {number: state.version for number, state in read_shards(self.client, self.settings).items()}
        return before == after and not self._fitting() and done()

    def _fitting(self) -> bool:
        """Whether a worker has a child process, besides the one that watches over what such children leave."""
        for child in self.workers:
            for each in psutil.Process(child.pid).children():
                with suppress(psutil.NoSuchProcess):  # it has just ended, or ended and nobody has looked yet
                    if "resource_tracker" not in " ".join(each.cmdline()):
                        return True
        return False

    def until(self, condition: Callable[[], object], otherwise: str) -> None:
        """Wait for a condition. Raises `NotBack`."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not condition():
            for child in self.children():
                if not child.living():
                    raise NotBack(f"{child.name} ended by itself with {child.died()}: {child.said()[-2_000:]}")
            if time.monotonic() > deadline:
                raise NotBack(f"{otherwise} after {WAIT_SECONDS:.0f} s")
            time.sleep(0.05)

    def picture(self) -> picture.Picture:
        """What Redis holds."""
        return picture.take(self.settings.redis_url, self.settings.key_prefix)

    def in_warehouse(self, query: str) -> Any:
        """The one value of a query, asked without the product."""
        path = self.settings.warehouse_url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as database:
            return database.execute(query).fetchone()[0]

    def proofs(self) -> Iterator[str]:
        """What the operations find: a snapshot, `reconcile` and `verify`."""
        taken = snapshot.take(self.settings, time.time_ns() // 1_000_000)
        _, result = reconcile(self.settings, taken.snapshot_id, SINK_SECONDS)
        if not result.equal or result.compared != self.people.users:
            yield f"reconcile: of {self.people.users} users {result}"
        found = verify(self.settings)
        if found.differences or found.users != self.people.users:
            yield f"verify: of {self.people.users} users {found.users}, and {found.differences[:3]}"

    def lookups(self, seen: picture.Picture) -> Iterator[str]:
        """Everybody is looked up: the answer is what the row says, and fresh as soon as no shard is on the move."""
        users = [
            list(seen.rows)[first : first + LOOKUPS_AT_ONCE] for first in range(0, len(seen.rows), LOOKUPS_AT_ONCE)
        ]
        with SegmentClient(self.settings.redis_url, key_prefix=self.settings.key_prefix) as client:

            def fresh() -> bool:
                found[:] = [answer for some in users for answer in client.lookup_many(some)]
                return not any(answer.stale for answer in found)

            found: list[Answer] = []
            self.until(fresh, "lookups stay stale")
        for answer in found:
            row = seen.rows[answer.user]
            if (answer.segment, answer.aggregates) != (row["segment"], json.loads(row["profile"])):
                yield f"lookup: {answer}, the row is {row}"
                return

    def warehouse(self) -> Iterator[str]:
        """Snapshots and the rows of heartbeats are bounded, and every event is loaded once."""

        def kept() -> bool:
            return bool(self.in_warehouse("SELECT COUNT(*) FROM snapshots") <= SNAPSHOTS_KEPT)

        try:
            self.until(kept, f"there are more than {SNAPSHOTS_KEPT} snapshots")
        except NotBack as reason:
            yield f"warehouse: {reason}"
        for table in ("snapshot_cuts", "snapshot_users", "snapshot_shards", "generations"):
            stray = f"SELECT COUNT(*) FROM {table} WHERE snapshot_id NOT IN (SELECT snapshot_id FROM snapshots)"
            if rows := self.in_warehouse(stray):
                yield f"warehouse: {rows} rows of {table} are of no snapshot"
        if (rows := self.in_warehouse("SELECT COUNT(*) FROM sink_heartbeat")) != 1:
            yield f"warehouse: the sink has {rows} heartbeats"
        raw = sum(
            self.in_warehouse(f"SELECT COUNT(*) FROM raw_{topic}") for topic in ("clickstream", "searches", "views")
        )
        if raw != self.people.records["event"] + self.people.records["repeat"]:
            yield f"warehouse: {raw} raw rows, published were {dict(self.people.records)}"

    def end(self) -> Iterator[str]:
        """End all processes in order; what is wrong with that."""
        for child in self.children():
            if child.living() and (code := child.end()):
                yield f"{child.name} ended with {code}: {child.said()[-1_000:]}"
        self.asker.end()
        self.client.close()
        for process in psutil.process_iter():
            try:
                if process.environ().get("SEGMENTER_KEY_PREFIX") == self.settings.key_prefix:
                    yield f"process {process.pid} is left: {process.cmdline()}"
            except (psutil.Error, OSError):
                continue
