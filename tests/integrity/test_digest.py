"""`segmenter verify --digest`: equal to plain pandas over the input, and the same for any way the events went."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pandas as pd
import pytest

from consumers import worker
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter.settings import Settings
from segmenter.store.connection import connect
from segmenter.store.models import publish as publish_model
from segmenter.store.models import read_model
from tests import verbs
from tests.chaos.events import aggregates

EVENTS, USERS = 3_000, 300


@pytest.fixture
def input_file(tmp_path: Path, settings: Settings) -> Path:
    """Events, some of them twice, as JSON Lines; they are published, too."""
    messages = [message for message in generate(EVENTS, USERS, seed=8) if message.value is not None]
    messages += messages[::7]
    publish(settings, messages)
    file = tmp_path / "events.jsonl"
    file.write_bytes(
        b"\n".join(
            msgspec.json.encode({"topic": message.topic, **msgspec.json.decode(message.value or b"")})
            for message in messages
        )
    )
    return file


@pytest.fixture
def others(settings: Settings) -> Iterator[list[Settings]]:
    """The same events for three stores, two of which commit in batches of other sizes."""
    made = [settings] + [
        dataclasses.replace(
            settings, key_prefix=f"{settings.key_prefix}.{rows}", group=f"{settings.group}.{rows}", commit_rows=rows
        )
        for rows in (7, 250)
    ]
    yield made
    client = connect(settings)
    for each in made:
        if keys := client.keys(f"{each.key_prefix}:*"):
            client.delete(*keys)
    client.close()


def digest(settings: Settings, environment: dict[str, str]) -> dict[str, object]:
    own = environment | {"SEGMENTER_KEY_PREFIX": settings.key_prefix}
    done = verbs.run("verify", "--digest", "--json", environment=own)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def by_pandas(file: Path) -> str:
    """The digest of the aggregates, without the product."""
    events = pd.read_json(file, lines=True, dtype={"user_id": str, "event_id": str})
    users = aggregates(events.drop_duplicates(["topic", "user_id", "event_id"]))
    users.index = pd.Index([user.encode().hex() for user in users.index])
    text = users.sort_index().to_csv(sep=" ", header=False, lineterminator="\n")
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_digests_say_what_pandas_says_however_the_events_were_cut(
    input_file: Path, others: list[Settings], environment: dict[str, str]
) -> None:
    """Aggregates always; whole rows and the census of each segment when the same generation judges."""
    first, *pinned = others
    worker.run(first, once=True)
    client = connect(first)
    model = read_model(client, first)
    assert model is not None
    for each in pinned:
        assert publish_model(client, each, model, None)
        worker.run(each, once=True, may_refit=False)
    found = [digest(each, environment) for each in others]
    assert {each["aggregates"] for each in found} == {by_pandas(input_file)}
    assert found[0] == found[1] == found[2]
    client.hincrby(f"{first.key_prefix}:user:u1", "generation", 1)
    client.close()
    assert digest(first, environment)["rows"] != found[0]["rows"]
