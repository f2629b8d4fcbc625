"""The heartbeat of the sink, by which others see in the warehouse that it is alive, and how far it is."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import text

from segmenter.warehouse.dialects import dialect
from segmenter.warehouse.engine import Warehouse, insert, reading, writing

_COLUMNS = ("name", "beat_ms", "caught_up_ms", "loaded_ms")
_ROW = ("sink", 0, 0, 0)


class SinkHeartbeat(NamedTuple):
    """What the sink last told, as ages in milliseconds; None for never."""

    beat_age_ms: int | None
    """Since the last heartbeat."""
    age_ms: int | None
    """Since the latest moment of which it has loaded all that could then be read of the log."""
    loaded_age_ms: int | None
    """Since it last loaded anything."""


def clock_ms(warehouse: Warehouse) -> int:
    """Now, by the clock of the database, in milliseconds since 1970."""
    with reading(warehouse) as connection:
        return int(connection.execute(text(f"SELECT {dialect(connection).now_ms}")).scalar_one())


def send_sink_heartbeat(warehouse: Warehouse, caught_up_ms: int | None = None, loaded: bool = False) -> None:
    """Tell that the sink is alive, and whether it has loaded anything since the last time.

    ``caught_up_ms`` is the latest moment, by `clock_ms`, of which it has loaded all that the log held then; None if
    there is no news of that.
    """
    with writing(warehouse) as connection:
        insert(connection, "sink_heartbeat", _COLUMNS, [_ROW], unless_there=True)
        now = dialect(connection).now_ms
        told = ["beat_ms = " + now, *(["loaded_ms = " + now] if loaded else [])]
        told += [] if caught_up_ms is None else [f"caught_up_ms = {caught_up_ms:d}"]
        connection.execute(text(f"UPDATE sink_heartbeat SET {', '.join(told)}"))


def read_sink_heartbeat(warehouse: Warehouse) -> SinkHeartbeat:
    """The last heartbeat of the sink."""
    with reading(warehouse) as connection:
        now = dialect(connection).now_ms
        query = f"SELECT {now}, beat_ms, caught_up_ms, loaded_ms FROM sink_heartbeat"
        now_ms, *told_ms = connection.execute(text(query)).one_or_none() or (0, 0, 0, 0)
    return SinkHeartbeat(*[max(0, now_ms - at_ms) if at_ms else None for at_ms in told_ms])
