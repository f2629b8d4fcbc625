"""``segmenter up``."""

from __future__ import annotations

from typing import Any

from segmenter import embedded
from segmenter import settings as every_setting
from segmenter.cli import common
from segmenter.settings.urls import masked


def up(*, json: common.Json = False) -> None:
    """Start the embedded parts in the background: a Kafka broker, a Redis and an SQLite file.

    They outlive this command and end with `segmenter down`. They begin empty: what an earlier stack left is wiped.
    """
    folder = every_setting.load().stack_dir
    before = embedded.find(folder)
    stack = embedded.start(folder)
    common.emit(
        {
            "kafka": stack.kafka,
            "redis_url": masked(stack.redis_url),
            "warehouse_url": stack.warehouse_url,
            "pid": stack.pid,
            "stack": str(folder / "stack.json"),
            "started": stack != before,
        },
        json,
        _show,
    )


def _show(stack: dict[str, Any]) -> None:
    begun = "The embedded parts are up, and empty:" if stack["started"] else "The embedded parts were up already:"
    for line in (
        begun,
        f"  Kafka      {stack['kafka']}",
        f"  Redis      {stack['redis_url']} (the password is in {stack['stack']})",
        f"  warehouse  {stack['warehouse_url']}",
        "`segmenter down` stops them; the warehouse file stays until the next `segmenter up`.",
    ):
        common.console.print(line, markup=False, soft_wrap=True)
