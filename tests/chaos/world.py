"""All that a run is made of, and what it looks like from outside at any moment."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from segmenter import warehouse
from segmenter.errors import Unreachable
from segmenter.model.generation import Generation, digest
from segmenter.settings import Settings
from segmenter.store.connection import Redis, clock_ms
from segmenter.store.models import publish, read_model
from segmenter.store.shards import read_shards
from tests.chaos.parts import Parts
from tests.chaos.processes import Child, Replay, Strike, command

STRIKE_SECONDS = 30.0
BACK_SECONDS = 120.0
FLOW_SECONDS = 3.0
MORE_RECORDS = 500


class Missed(Exception):
    """A process never reached the point at which it was to be struck."""


class NotBack(Exception):
    """Something that was struck does not go on."""


@dataclass
class World:
    """The parts, the processes on them, and the model that the operator wants."""

    parts: Parts
    folder: Path
    rng: random.Random
    client: Redis
    environment: dict[str, str]
    replay: Replay
    workers: list[Child]
    sink: Child
    model: Generation
    lost_commits: int = 0
    fenced: int = 0
    joined: int = 2
    recovering_since_ms: int = 0

    @property
    def settings(self) -> Settings:
        return self.parts.settings

    def children(self) -> list[Child]:
        return [*self.workers, self.sink]

    def await_records(self) -> None:
        """Wait a little until the log holds records that no commit holds."""
        deadline = time.monotonic() + FLOW_SECONDS
        while not self.in_flight() and time.monotonic() < deadline:
            time.sleep(0.01)

    def in_flight(self) -> int:
        """How many records have been sent that no commit holds."""
        states = read_shards(self.client, self.settings).values()
        return max(0, self.replay.sent - sum(sum((state.offsets or {}).values()) for state in states))

    def in_flight_to_sink(self) -> int:
        """How many records have been sent that the warehouse does not hold."""
        with warehouse.connect(self.settings) as database:
            loaded = sum(at.next_pos for at in warehouse.loaded(database).values())
        return max(0, self.replay.sent - loaded)

    def versions(self) -> dict[int, int]:
        """How many writes each shard has had."""
        return {number: state.version for number, state in read_shards(self.client, self.settings).items()}

    def tokens(self) -> dict[int, str]:
        """The tokens of the shards' owners."""
        return {number: state.token for number, state in read_shards(self.client, self.settings).items()}

    def fenced_now(self) -> int:
        """How many writes and heartbeats have been refused, as far as Redis remembers."""
        return sum(state.fenced for state in read_shards(self.client, self.settings).values())

    def publish_next(self) -> None:
        """The operator publishes another generation: everyone is to be judged again."""
        turned = msgspec.structs.replace(
            self.model, number=self.model.number + 1, cause="step", centres=self.model.centres[::-1]
        )
        before, self.model = self.model, turned
        assert publish(self.client, self.settings, turned, before)

    def publish_again(self) -> None:
        """The operator notices that Redis lost the generation that was published."""
        found = read_model(self.client, self.settings)
        if found is None or digest(found) != digest(self.model):
            assert publish(self.client, self.settings, self.model, found)

    def add_kind(self, step: int) -> None:
        """The operator adds the last kind, in three steps: the tables and the sink, one worker, the other ones."""
        whole = self.environment | {"SEGMENTER_KINDS": ",".join([kind.name for kind in self.settings.kinds])}
        if step == 0:
            command("migrate", whole)
            self.environment = whole
        for child in ([self.sink], self.workers[:1], self.workers[1:])[step]:
            child.restart(whole)

    def recover(self) -> None:
        """Start again what has died."""
        self.publish_again()
        for child in self.children():
            child.start()
        self.recovering_since_ms = clock_ms(self.client)

    def await_back(self) -> None:
        """Wait until every worker owns a shard, and every shard has an owner that sends heartbeats."""
        self.until(self._back, "not every worker has a shard, or not every shard an owner that sends heartbeats")

    def _back(self) -> bool:
        for child in self.children():
            if not child.living():
                if child.died() != Unreachable.exit_code:
                    raise NotBack(f"{child.name} ended by itself with {child.died()}: {child.said()[-2_000:]}")
                child.start()  # it was started while a part was down
        states = read_shards(self.client, self.settings)
        return (
            len(states) == self.settings.partitions
            and all(state.beat_ms > self.recovering_since_ms and not state.dirty for state in states.values())
            and all("shard acquired" in child.said() for child in self.workers)
        )

    def until(self, condition: Callable[[], object], otherwise: str) -> None:
        """Wait for a condition. Raises `NotBack`."""
        deadline = time.monotonic() + BACK_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise NotBack(f"{otherwise} after {BACK_SECONDS:.0f} s; the logs are in {self.folder}")
            time.sleep(0.02)

    def strike_of(self, children: Sequence[Child]) -> Strike:
        """The first of the strikes that some children were ordered, once it is done. Raises `Missed`.

        The others are ordered to forget it. More records are replayed when it takes long.
        """
        began = more = time.monotonic()
        try:
            while time.monotonic() < began + STRIKE_SECONDS:
                for child in children:
                    if not child.strikes.empty():
                        return child.strikes.get()
                if time.monotonic() > more + FLOW_SECONDS:
                    more = time.monotonic()
                    self.replay.go_to(self.replay.limit + MORE_RECORDS)
                time.sleep(0.01)
            raise Missed
        finally:
            for child in children:
                child.relent()
