"""A life from its first user to its verdict."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from producers.messages import Message
from producers.publish import publish
from segmenter import logs as product_logs
from segmenter.embedded import private_stack
from segmenter.errors import SegmenterError
from segmenter.settings import Settings
from tests.soak import checks, memory
from tests.soak.life import Life, NotBack
from tests.soak.limits import STALE_SHARE
from tests.soak.logs import AFTER_A_RESTART, AT_ANY_TIME, AT_THE_BEGINNING, Logs
from tests.soak.phases import Phase, cycle
from tests.soak.restarts import restarts
from tests.soak.show import Line, Show

BURSTS = 15
"""In how many bursts the events of a phase arrive: the embedded broker gets slow by many small batches."""

REFIT_SECONDS = 5.0
"""How long a refit may take on a busy machine: in a short phase there are fewer."""

PARTITIONS = 4
SILENT = 0.7
"""How many of the users fall silent at once."""


class Options(NamedTuple):
    """What was asked for."""

    minutes: float
    phases: int
    """How many phases at most; 0 for whole cycles."""
    seconds: float
    rate: int
    first: int
    most: int
    seed: int
    broken: str
    folder: Path


class Ended(NamedTuple):
    """The numbers of a life, and what did not hold."""

    numbers: dict[str, Any]
    wrong: list[str]


def run(options: Options, show: Show) -> Ended:
    """Live for so many minutes, but at least a whole cycle; end when something does not hold."""
    product_logs.setup("warning")
    began = time.monotonic()
    with private_stack() as stack:
        name = f"s{secrets.token_hex(4)}"
        settings = Settings(
            kafka=stack.kafka,
            redis_url=stack.redis_url,
            warehouse_url=stack.warehouse_url,
            key_prefix=name,
            topic_prefix=f"{name}.",
            group=name,
            partitions=PARTITIONS,
            duplicate_window=1_000,
            commit_rows=5,
        )
        life = Life(settings, stack.pid, options.folder, options.seed, options.broken)
        story = Story(life, options, show)
        wrong: list[str] = []
        try:
            wrong = story.live(began)
        except (NotBack, SegmenterError, psutil.Error, TimeoutError) as reason:
            wrong = [f"{type(reason).__name__}: {reason}"]
        finally:
            at_end = list(life.end())
    ended = Ended(story.numbers | {"seconds": round(time.monotonic() - began)}, wrong or at_end)
    if not ended.wrong:
        shutil.rmtree(options.folder)
    return ended


class Story:
    """Phase after phase."""

    def __init__(self, life: Life, options: Options, show: Show) -> None:
        self._life, self._options, self._show = life, options, show
        self._logs = Logs(options.folder)
        self._uses: dict[str, memory.Use] = {}
        self._redis_mb = 0.0
        self.numbers: dict[str, Any] = {"phases": 0, "restarts": 0, "lookups": 0, "stale": 0}

    def live(self, began: float) -> list[str]:
        """The phases, until time is over or something is wrong."""
        self._life.await_back()
        self._show.say(f"began after {time.monotonic() - began:.1f} s")
        number = 0
        while not number or time.monotonic() < began + 60 * self._options.minutes:
            number += 1
            for phase in cycle(number, self._life.people.users, self._options.first, self._options.most):
                if wrong := self._phase(phase):
                    return wrong
                if self.numbers["phases"] == self._options.phases:
                    return []
        return []

    def _phase(self, phase: Phase) -> list[str]:
        life, people, began = self._life, self._life.people, time.monotonic()
        self._turn(phase)
        grow_to = max(1, round(people.users * phase.growth)) if people.users else self._options.first
        events = round(self._options.seconds * self._options.rate)
        with ThreadPoolExecutor(1) as pool:
            messages = paced(people.act(events, grow_to, phase.changes), events, self._options.seconds)
            publishing = pool.submit(publish, life.settings, messages)
            wrong = list(self._meanwhile(phase))
            publishing.result()
        life.await_back()
        at = time.monotonic()
        life.await_caught_up()
        settled_s = time.monotonic() - at
        known = checks.Known(people.add_up(), people.records, life.settings.segments, life.settings.partitions)
        seen = life.picture()
        wrong += checks.wrong(seen, known)
        wrong += life.lookups(seen)
        wrong += life.proofs()
        wrong += life.warehouse()
        told = life.asker.told(people.users)
        wrong += [f"lookup: {each}" for each in told["wrong"]]
        if phase.steady and told["stale"] > STALE_SHARE * told["asked"]:
            wrong.append(f"lookup: {told['stale']} of {told['asked']} were stale, although nothing was restarted")
        wrong += self._memory(phase)
        steadily = AT_ANY_TIME if self.numbers["phases"] else AT_THE_BEGINNING
        expected = AFTER_A_RESTART if phase.restarts else steadily
        wrong += self._logs.unexpected(expected)
        self.numbers["lookups"] += told["asked"]
        self.numbers["stale"] += told["stale"]
        self.numbers |= {
            "phases": self.numbers["phases"] + 1,
            "users": people.users,
            "records": people.records.total(),
            "commits": sum(int(shard["version"]) for shard in seen.shards.values()),
            "generations": seen.generation.get("number", 0),
            "steps": self._logs.published["step"],
            "refits": self._logs.published["refit"],
            "retired": len(seen.generation.get("retired", ())),
            "redis_keys": len(seen.keys),
            "feed": max(map(len, seen.feeds.values()), default=0),
            "redis_mb": round(self._redis_mb, 1),
            "mb": {name: round(use.mb) for name, use in self._uses.items()},
        }
        self._show.phase(Line(phase.name, time.monotonic() - began, settled_s, self.numbers, told))
        return wrong

    def _turn(self, phase: Phase) -> None:
        """What comes over the users as a phase begins."""
        people = self._life.people
        if phase.turn == "silence":
            people.fall_silent(SILENT)
        elif phase.turn == "wake":
            people.wake()

    def _meanwhile(self, phase: Phase) -> Iterator[str]:
        """What happens while the events arrive: restarts, or refits, evenly spread."""
        life = self._life
        acts = [life.refit] * min(phase.refits, 1 + int(self._options.seconds / REFIT_SECONDS))
        if phase.restarts:
            acts = restarts(life.rng, life.workers, [life.sink, life.snapshotter])
        for act in acts:
            time.sleep(self._options.seconds / (len(acts) + 1))
            yield from act()
        self.numbers["restarts"] += len(acts) * phase.restarts

    def _memory(self, phase: Phase) -> list[str]:
        before, before_mb = self._uses, self._redis_mb
        self._uses, self._redis_mb = memory.uses(self._life.pids()), memory.redis_mb(self._life.settings.redis_url)
        if not phase.steady:
            return []
        bounded = {name: use for name, use in self._uses.items() if name != "broker"}
        return [*memory.grown(before, bounded), *memory.redis_grown(before_mb, self._redis_mb)]


def paced(messages: Iterable[Message], events: int, seconds: float) -> Iterator[Message]:
    """The messages of about so many events, spread over so many seconds in `BURSTS`."""
    at_once = max(1, events // BURSTS)
    for number, message in enumerate(messages, 1):
        if number % at_once == 0:
            time.sleep(seconds / BURSTS)
        yield message
