"""What earlier versions left behind, put into the parts of a test as if that version had written it there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from producers.messages import Message
from producers.publish import publish
from segmenter import topics, warehouse
from segmenter.settings import Settings
from segmenter.store.connection import Redis, connect
from segmenter.warehouse.engine import writing
from tests.upgrade.make import FIXTURES


class Left(NamedTuple):
    """What a version left behind: `tests.upgrade.make` says what is in the files."""

    folder: Path
    made: dict[str, Any]
    messages: list[Message]
    """The records of the event topics, in the order of publishing."""
    letters: list[Message]
    """The dead letters."""

    @property
    def events(self) -> list[Message]:
        """The messages that are events, repeats among them: each has an event id, and no other record has one."""
        return [message for message in self.messages if b'"event_id"' in (message.value or b"")]


def versions() -> list[str]:
    """The versions that left something."""
    return sorted(folder.name for folder in FIXTURES.iterdir())


def left_by(version: str) -> Left:
    """What this version left behind."""
    folder = FIXTURES / version
    records = [json.loads(line) for line in _lines(folder / "records.jsonl")]
    messages = [Message(each["topic"], _bytes(each["key"]) or b"", _bytes(each["value"])) for each in records]
    letters = [message for message in messages if message.topic == "dead-letters"]
    events = [message for message in messages if message.topic != "dead-letters"]
    return Left(folder, json.loads((folder / "made.json").read_text("utf-8")), events, letters)


def put_back(left: Left, settings: Settings) -> None:
    """Publish the records, and fill Redis and the warehouse.

    The topics are new ones, and Kafka gives each an id of its own. Offsets of a topic with another id are refused, for
    they would mean other records. Here they mean the same ones, so the new ids take the places of the old ones.
    """
    publish(settings, left.messages)
    publish(settings, [_renamed(letter, settings.topic_prefix) for letter in left.letters])
    now = topics.topic_ids(settings)
    ids = {left.made["topic_ids"][topic.removeprefix(settings.topic_prefix)]: found for topic, found in now.items()}
    with closing(connect(settings)) as client:
        for line in _lines(left.folder / "redis.jsonl"):
            _put_key(client, settings.key_prefix, **json.loads(_replaced(line, ids)))
    with warehouse.connect(settings) as database, writing(database) as connection:
        plainly = connection.execution_options(no_parameters=True)  # a % is a %
        for name in (f"{database.engine.dialect.name}.sql", "rows.sql"):
            script = _replaced((left.folder / name).read_text("utf-8"), ids)
            for statement in script.removesuffix(";\n").split(";\n"):
                plainly.exec_driver_sql(statement)


def _renamed(letter: Message, topic_prefix: str) -> Message:
    """The same dead letter of a topic that has another name here."""
    content = json.loads(letter.value or b"")
    content["topic"] = topic_prefix + content["topic"]
    return letter._replace(key=topic_prefix.encode() + letter.key, value=json.dumps(content).encode())


def _put_key(client: Redis, prefix: str, key: str, type: str, value: Any) -> None:
    name = prefix.encode() + b":" + (_bytes(key) or b"")
    if type == "hash":
        client.hset(name, mapping={_bytes(field): _bytes(held) for field, held in value.items()})
    elif type == "set":
        client.sadd(name, *map(_bytes, value))
    else:
        names, *entries = value
        for at, *values in entries:
            client.xadd(name, dict(zip(map(_bytes, names), map(_bytes, values), strict=True)), id=at)


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines()


def _replaced(text: str, ids: Mapping[str, str]) -> str:
    for before, after in ids.items():
        text = text.replace(before, after)
    return text


def _bytes(shown: str | None) -> bytes | None:
    return None if shown is None else shown.encode("utf-8", "surrogateescape")
