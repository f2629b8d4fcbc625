"""`segmenter status`: how far everything is."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.table import Table

from segmenter.cli import common

if TYPE_CHECKING:
    from segmenter.settings import Settings


def status(*, json: common.Json = False) -> None:
    """Show how far worker and sink have read, how fresh the segments are, and what was refused."""
    common.emit(report(common.settings()), json, show)


def report(settings: Settings) -> dict[str, Any]:
    """Where the parts are, each shard's state, and the sums over all."""
    from segmenter import topics, warehouse
    from segmenter.store.connection import check, clock_ms, connect
    from segmenter.store.models import read_model
    from segmenter.store.shards import read_shards
    from segmenter.urls import masked

    client = connect(settings)
    check(client, settings)
    ends = topics.ends(settings, topics.topic_ids(settings))
    now_ms = clock_ms(client)
    model = read_model(client, settings)
    with warehouse.connect(settings.warehouse_url) as house:
        loaded = warehouse.loaded(house) if not warehouse.pending(house) else {}
    shards = []
    dead: Counter[str] = Counter()
    for number, state in sorted(read_shards(client, settings).items()):
        at_end = {
            topic.removeprefix(settings.topic_prefix): end for (topic, part), end in ends.items() if part == number
        }
        read = state.offsets or {}
        shards.append(
            {
                "shard": number,
                "users": sum(tally.users for tally in state.census.values()),
                "lag": sum(max(0, end - read.get(topic, 0)) for topic, end in at_end.items()),
                "sink_lag": sum(
                    max(0, end - (loaded[topic, number].next_pos if (topic, number) in loaded else 0))
                    for topic, end in at_end.items()
                ),
                "beat_age_ms": now_ms - state.beat_ms if state.beat_ms else None,
                "age_ms": now_ms - state.caught_up_ms if state.caught_up_ms else None,
                "generation": state.generation,
                "folded": state.counts.folded,
                "duplicates": state.counts.duplicates,
            }
        )
        dead.update(state.counts.dead_letters)
    return {
        "parts": {
            "kafka": settings.kafka,
            "redis": masked(settings.redis_url),
            "warehouse": masked(settings.warehouse_url),
        },
        "generation": model.number if model else 0,
        "published": sum(ends.values()),
        "users": sum(shard["users"] for shard in shards),
        "folded": sum(shard["folded"] for shard in shards),
        "duplicates": sum(shard["duplicates"] for shard in shards),
        "dead_letters": dict(dead),
        "lag": sum(shard["lag"] for shard in shards) if shards else sum(ends.values()),
        "shards": shards,
    }


def show(found: dict[str, Any]) -> None:
    """Print a report for people."""
    for part, address in found["parts"].items():
        common.console.print(f"{part}: {address}", markup=False, soft_wrap=True)
    common.console.print(
        f"{found['users']:,} users by generation {found['generation']}; of {found['published']:,} records "
        f"{found['folded']:,} folded, {found['duplicates']:,} duplicates, "
        f"{sum(found['dead_letters'].values()):,} dead letters, {found['lag']:,} to come"
    )
    table = Table("shard")
    for title in ("users", "lag", "sink lag", "complete up to", "worker seen", "generation"):
        table.add_column(title, justify="right")
    for shard in found["shards"]:
        table.add_row(
            str(shard["shard"]),
            *(f"{shard[name]:,}" for name in ("users", "lag", "sink_lag")),
            common.ago(shard["age_ms"]),
            common.ago(shard["beat_age_ms"]),
            str(shard["generation"]),
        )
    common.console.print(table)
