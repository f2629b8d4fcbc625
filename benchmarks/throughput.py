"""How fast the worker is beside two loops that frame it, in one run, as ratios: machines differ, and are busy.

bare    polls and decodes, no more: the same Kafka client with the same options. The worker cannot be faster.
worker  `consumers.worker.run` on an empty store; again with the time until everyone is judged by a settled model.
naive   a first version: for each event json, a Redis pipeline, river's K-Means, and the segment written. It refuses
        nothing, drops no duplicate, keeps no offset, and judges nobody again when its model moves. It gets one event
        in twenty, as it is slow.

Every round measures all, turning the order around, and a ratio compares what one round measured; what is shown is the
median of the rounds. One more round, which counts nowhere else, times the worker's stages.

    .venv/bin/python benchmarks/throughput.py --events 200000 --users 50000 --rounds 5 --json

The garbage collector is set as the worker's command sets it, for all loops alike.
It brings its own broker and Redis; those that SEGMENTER_KAFKA and SEGMENTER_REDIS_URL name are used instead.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from cyclopts import App, Parameter
from cyclopts.validators import Number
from kafka.admin import KafkaAdminClient
from loops import Log, bare, fresh_name, naive, work
from rich.table import Table
from stages import shares

from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter import logs
from segmenter.cli import common
from segmenter.embedded import private_stack
from segmenter.events.sharding import shard_of
from segmenter.settings import Settings, load
from segmenter.settings.allowed import EMBEDDED
from segmenter.topics import beginnings, dead_letter_topic, event_topics
from segmenter.topics.client import client_options

NAIVE_SHARE = 20
"""The naive loop gets one event of this many."""

Positive = Annotated[int, Parameter(validator=Number(gte=1))]
Rates = dict[str, float]
"""Events per second by loop, of one round."""

app = App(help=__doc__, help_format="plaintext")


@app.default
def throughput(
    *, events: Positive = 100_000, users: Positive = 3_000, rounds: Positive = 3, json: common.Json = False
) -> None:
    """Publish the events once, then measure.

    Parameters
    ----------
    events
        How many events.
    users
        How many users they belong to: the more, the more rows are written for as many events.
    rounds
        How often each loop is measured.
    """
    logs.setup("warning")
    common.expect_many_objects()
    with _parts() as settings:
        with common.progress("publishing", events) as advance:
            publish(settings, generate(events, users, seed=1, kinds=settings.kinds), advance)
        log = Log(settings, beginnings(settings, event_topics(settings)), events)
        measured = []
        with common.progress("rounds", rounds + 1) as advance:
            for number in range(rounds):
                measured.append(_round(log, backwards=number % 2 == 1))
                advance(1)
            stages = shares(log)
            advance(1)
    common.emit({"events": events, "users": users, **_summary(measured), "stages": stages}, json, _show)


def _round(log: Log, backwards: bool) -> Rates:
    loops: list[Callable[[], Rates]] = [
        lambda: {"bare": bare(log)},
        lambda: _worker(log),
        lambda: {"naive": naive(log, max(1, log.events // NAIVE_SHARE))},
    ]
    rates: Rates = {}
    for loop in reversed(loops) if backwards else loops:
        shard_of.cache_clear()  # each loop finds it empty
        rates |= loop()
    return rates


def _worker(log: Log) -> Rates:
    result, settled_seconds = work(log)
    return {"worker": result.records / result.seconds, "worker, settled": result.records / settled_seconds}


def _summary(rounds: list[Rates]) -> dict[str, Any]:
    def ratio(one: str, other: str) -> float:
        return statistics.median(rates[one] / rates[other] for rates in rounds)

    return {
        "rounds": rounds,
        "median": {name: statistics.median(rates[name] for rates in rounds) for name in rounds[0]},
        "worker_to_bare": ratio("worker", "bare"),
        "worker_to_naive": ratio("worker", "naive"),
        "settled_to_bare": ratio("worker, settled", "bare"),
        "settled_to_naive": ratio("worker, settled", "naive"),
    }


def _show(report: dict[str, Any]) -> None:
    rounds, median = report["rounds"], report["median"]
    table = Table(title=f"{report['events']:,} events of {report['users']:,} users", title_justify="left")
    for column in ("events a second", *(f"round {number}" for number in range(1, len(rounds) + 1))):
        table.add_column(column, justify="left" if column == "events a second" else "right")
    for column in ("median", "to bare", "to naive"):
        table.add_column(column, justify="right")
    against = {"worker": "worker", "worker, settled": "settled"}
    for name in ("bare", "worker", "worker, settled", "naive"):
        ratios = [
            f"{report[f'{against[name]}_to_{other}']:.2f}" if name in against else "" for other in ("bare", "naive")
        ]
        table.add_row(name, *(f"{rates[name]:,.0f}" for rates in rounds), f"{median[name]:,.0f}", *ratios)
    common.console.print(table)
    stages = sorted(report["stages"].items(), key=lambda stage: -stage[1])
    common.console.print("the worker's time: " + ", ".join(f"{name} {share:.0%}" for name, share in stages))


@contextmanager
def _parts() -> Iterator[Settings]:
    """Settings of parts that run, with topics of our own; those of parts that go on running are removed again."""
    given = dataclasses.replace(load(), topic_prefix=fresh_name() + "-")
    if EMBEDDED not in (given.kafka, given.redis_url):
        with _removing_topics(given):
            yield given
        return
    with private_stack() as stack:
        own = {name: getattr(stack, name) for name in ("kafka", "redis_url") if getattr(given, name) == EMBEDDED}
        with _removing_topics(dataclasses.replace(given, **own)) as settings:
            yield settings


@contextmanager
def _removing_topics(settings: Settings) -> Iterator[Settings]:
    try:
        yield settings
    finally:
        with KafkaAdminClient(**client_options(settings)) as admin:
            admin.delete_topics([*event_topics(settings), dead_letter_topic(settings)])


if __name__ == "__main__":
    app()
