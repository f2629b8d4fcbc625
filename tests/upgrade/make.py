"""Make what a version leaves behind, for the versions after it to open: ``python -m tests.upgrade.make VERSION``.

Run it with the code of that version, on its parts: ``.ci/real-parts run .real .venv/bin/python -m tests.upgrade.make
VERSION``. Log and Redis are the embedded ones, the warehouse is one in SQLite and one in the MariaDB of
``SEGMENTER_TEST_WAREHOUSE_URL``, both loaded from the same log. The folder ``fixtures/VERSION`` then holds

- ``records.jsonl``, the records of the log in the order of publishing, and the dead letters;
- ``redis.jsonl``, the keys of the store, without their prefix;
- ``sqlite.sql`` and ``mysql.sql``, the tables of the two warehouses, and ``rows.sql``, their rows, which are the same;
- ``made.json``: the partitions, the ids of the topics, and what a lookup of each user answered.

Bytes are written as UTF-8, and those that are none as Python's ``surrogateescape`` has them.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import text

import segmenter
from consumers import sink, worker
from producers.messages import Message
from producers.publish import publish
from producers.synthetic.generator import START_MS, generate
from producers.synthetic.invalid import invalid_records
from segmenter import topics, warehouse
from segmenter.client import SegmentClient
from segmenter.embedded import private_stack
from segmenter.operations import snapshot
from segmenter.settings import Settings
from tests.upgrade.dumps import shown, stored, tables_and_rows

FIXTURES = Path(__file__).parent / "fixtures"
USERS, EVENTS, SEED = 60, 80, 2
HOSTILE = ["Bob", "bob", "bob ", "007", "\N{SNOWMAN}", "a\0b", 'it\'s "%s"']
SHORT = ("user_id", "time_ms", "event_id", "duration_ms")
"""The fields that every event keeps; the others would make the files large."""

SMALL = 1_000
"""No record is larger, for the same reason."""


def main(version: str) -> None:
    """Write ``fixtures/VERSION``."""
    folder = FIXTURES / version
    folder.mkdir(parents=True)
    with private_stack() as stack, mysql() as other:
        parts = {name: getattr(stack, name) for name in ("kafka", "redis_url", "warehouse_url")}
        settings = Settings(**parts, partitions=2)
        houses = [settings, dataclasses.replace(settings, warehouse_url=other)]
        messages = live(houses)
        write(folder / "records.jsonl", [*map(record, messages), *letters(settings)])
        write(folder / "redis.jsonl", stored(settings))
        (sqlite, rows), (in_mysql, same_rows) = (tables_and_rows(each.warehouse_url) for each in houses)
        assert rows == same_rows
        for name, statements in (("sqlite.sql", sqlite), ("mysql.sql", in_mysql), ("rows.sql", rows)):
            (folder / name).write_text("".join(f"{statement};\n" for statement in statements), "utf-8")
        made = {
            "version": segmenter.__version__,
            "partitions": settings.partitions,
            "topic_ids": topics.topic_ids(settings),
        } | answers(settings, messages)
        (folder / "made.json").write_text(compact(made), "utf-8")


def live(houses: list[Settings]) -> list[Message]:
    """A short life of all parts; in the end the log is ahead of the store, and that of snapshot and warehouse.

    Each stretch repeats some records of the ones before.
    """
    settings = houses[0]
    messages = [small(message) for message in events()]
    bad = [
        each for each in invalid_records(24, ["views", "searches"], "u1", START_MS) if len(each.value or b"") < SMALL
    ]
    first = [*messages[:55], *bad[:8]]
    publish(settings, first)
    worker.run(settings, once=True)
    second = [*messages[55:70], *messages[40:50], *bad[8:12]]
    publish(settings, second)
    worker.run(settings, once=True)
    for each in houses:
        with warehouse.connect(each) as database:
            warehouse.migrate(database, START_MS)  # at the same time in both
        sink.run(each, once=True)
        snapshot.take(each, START_MS)
    third = [*messages[70:80], *messages[60:65]]
    publish(settings, third)
    worker.run(settings, once=True, may_refit=False)
    unread = [*messages[80:], *messages[:5], *messages[70:75], *bad[12:16]]
    publish(settings, unread)
    return [*first, *second, *third, *unread]


def events() -> Iterator[Message]:
    """Events of ordinary users, and now and then one of a user with a hostile name."""
    strange = iter(HOSTILE)
    for number, message in enumerate(generate(EVENTS, USERS, SEED)):
        yield message
        if number % 8 == 0 and (user := next(strange, None)) is not None:
            event = json.loads(message.value or b"") | {"user_id": user, "event_id": f"strange {number}"}
            yield Message(message.topic, user.encode(), compact(event).encode())


def small(message: Message) -> Message:
    """The same event without most of its fields, unless it is one of the few that keep them."""
    event = json.loads(message.value or b"")
    if event["event_id"].endswith("7"):
        return message
    return message._replace(value=compact({name: event[name] for name in SHORT if name in event}).encode())


def record(message: Message) -> dict[str, Any]:
    return {"topic": message.topic, "key": shown(message.key), "value": shown(message.value)}


def letters(settings: Settings) -> Iterator[dict[str, Any]]:
    """The dead letters as they are in the log."""
    topic = topics.dead_letter_topic(settings)
    for records in topics.read_to(settings, topics.beginnings(settings, [topic]), topics.ends(settings, [topic])):
        yield from ({"topic": each.topic, "key": shown(each.key), "value": shown(each.value)} for each in records)


def answers(settings: Settings, messages: list[Message]) -> dict[str, Any]:
    """What a lookup of each user says, but for what depends on the moment; the names of numbers are written once."""
    users = sorted({message.key.decode() for message in messages} | {"nobody"})
    with SegmentClient(redis_url=settings.redis_url, partitions=settings.partitions) as client:
        found = client.lookup_many(users)
    answers = [
        (each.user, each.segment, each.name, each.generation, [*each.features.values()], [*each.aggregates.values()])
        for each in found
    ]
    return {"features": list(found[0].features), "aggregates": list(found[0].aggregates), "answers": answers}


@contextmanager
def mysql() -> Iterator[str]:
    """An empty database, which is removed at the end."""
    server = sqlalchemy.make_url(os.environ["SEGMENTER_TEST_WAREHOUSE_URL"])
    name = f"segmenter_test_{uuid.uuid4().hex}"
    engine = sqlalchemy.create_engine(server, isolation_level="AUTOCOMMIT")
    with closing(engine.connect()) as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        yield server.set(database=name).render_as_string(hide_password=False)
        connection.execute(text(f"DROP DATABASE {name}"))
    engine.dispose()


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def write(path: Path, lines: Any) -> None:
    path.write_text("".join(compact(line) + "\n" for line in lines), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
