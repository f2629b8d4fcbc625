"""The processes that the chaos runs and strikes: workers, a sink, and the replay."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]


class Ended(NamedTuple):
    """How a process ended, and what it said on standard output and standard error."""

    code: int
    said: str
    log: str


class Strike(NamedTuple):
    """What a process said just before it struck itself."""

    child: Child
    point: str
    at: str


class Child:
    """One doomed process, started again under the same name when it has died."""

    def __init__(
        self, name: str, verb: str, environment: Mapping[str, str], folder: Path, program: str = "tests.chaos.doomed"
    ) -> None:
        self.name = name
        self.strikes: queue.Queue[Strike] = queue.Queue()
        self._command = [sys.executable, "-m", program, *verb.split()]
        self._environment = dict(environment)
        self._log = folder / f"{name}.log"
        self._log_start = 0
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, unless it runs."""
        if self.living():
            return
        self.strikes = queue.Queue()
        with self._log.open("a") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        threading.Thread(target=self._listen, args=(self._process, self.strikes), daemon=True).start()

    def _listen(self, process: subprocess.Popen[str], strikes: queue.Queue[Strike]) -> None:
        assert process.stdout is not None and process.stdin is not None
        with suppress(BrokenPipeError), process.stdout, process.stdin:
            for line in process.stdout:
                if line.startswith("{"):
                    said = json.loads(line)
                    strikes.put(Strike(self, said["struck"], said["at"]))

    def order(self, point: str, times: int = 1, with_signal: signal.Signals = signal.SIGKILL) -> None:
        """Make it strike itself at the next so many times of a point."""
        assert self._process is not None and self._process.stdin is not None
        order: dict[str, Any] = {"point": point, "times": times, "signal": int(with_signal)}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def relent(self) -> None:
        """Take an order back."""
        with suppress(BrokenPipeError, ValueError):
            self.order("none")

    def restart(self, environment: Mapping[str, str]) -> None:
        """End it in order, if it runs, and start it in another environment."""
        if self.living():
            self.end()
        self._environment = dict(environment)
        self.start()

    def living(self) -> bool:
        """Whether it runs, or is stopped."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id; of the last one, if it has been started again."""
        assert self._process is not None
        return self._process.pid

    def send(self, which: signal.Signals) -> None:
        """Send it a signal; wait for its end if that is the end."""
        assert self._process is not None
        self._process.send_signal(which)
        if which == signal.SIGKILL:
            self._process.wait()

    def end(self) -> int:
        """Ask it to end, and return its exit code."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            return self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def kill(self) -> None:
        """End it at once."""
        self.send(signal.SIGKILL)

    def died(self) -> int:
        """Wait for its end; the exit code."""
        assert self._process is not None
        return self._process.wait(60)

    def said(self) -> str:
        """What it has logged since it was last started."""
        return self._log.read_bytes()[self._log_start :].decode(errors="replace")


class Replay:
    """The process that publishes the file, up to a limit."""

    def __init__(self, file: Path, records: int, rate: float, environment: Mapping[str, str], folder: Path) -> None:
        self.records = records
        self.sent = 0
        self.limit = 0
        self._log = folder / "replay.log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.publisher", str(file), str(rate)],
                cwd=ROOT,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.sent = int(line)

    def go_to(self, record: int) -> None:
        """Let it go on up to this record."""
        self.limit = min(self.records, max(self.limit, record))
        self._tell(self.limit)

    def finish(self) -> None:
        """Let it publish the rest, and wait for its end."""
        self._tell(0)
        if self._process.wait(180):
            raise RuntimeError(f"the replay failed: {self._log.read_text('utf-8')}")

    def _tell(self, limit: int) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{limit}\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """End it at once, if it still runs."""
        self._process.kill()
        self._process.wait()


def command(verb: str, environment: Mapping[str, str], check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run one verb of the command to its end."""
    line = [sys.executable, "-m", "segmenter", *verb.split()]
    done = subprocess.run(
        line, cwd=ROOT, env=dict(environment), capture_output=True, text=True, timeout=300, check=False
    )
    if check and done.returncode:
        raise RuntimeError(f"`segmenter {verb}` ended with {done.returncode}: {done.stderr.strip()}")
    return done


def run_apart(module: str, options: str, folder: Path) -> Ended:
    """Run a module of the tests to its end, its files in the folder; no process that it started outlives it."""
    with subprocess.Popen(
        [sys.executable, "-m", module, *options.split()],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            said, log = process.communicate()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return Ended(process.returncode, said, log)


def environment_of(settings: Any, **more: str) -> dict[str, str]:
    """The environment in which a command uses these settings."""
    shown = {name: getattr(settings, name) for name in CHOSEN}
    shown["kinds"] = ",".join([kind.name for kind in settings.kinds])
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEGMENTER_")}
    return kept | {f"SEGMENTER_{name.upper()}": str(value) for name, value in shown.items()} | more


CHOSEN = (
    "kafka",
    "redis_url",
    "warehouse_url",
    "key_prefix",
    "topic_prefix",
    "group",
    "partitions",
    "duplicate_window",
    "commit_rows",
)
"""The settings that a run chooses; the others keep their defaults."""
