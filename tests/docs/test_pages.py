"""The reference pages are what the code says now, and leave nothing out."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from consumers import worker
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter import events, settings
from segmenter.cli import build
from segmenter.events import REASONS, Event, PricedEvent, Rules
from segmenter.events.dead_letters import DeadLetter
from segmenter.events.sharding import shard_of
from segmenter.kinds import BUILT_IN, Kind
from segmenter.settings import FIELDS, PREFIX, REDIS_BIN, SECRETS, Settings
from segmenter.store.connection import connect
from segmenter.store.keys import Keys
from segmenter.store.models import read_model
from tests.defaults import CLICK, VIEW

DOCS = Path(__file__).parents[2] / "docs"
PURCHASE = BUILT_IN["purchase"]
CURRENCY = "EUR"


def check(docs: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(docs / "generate.py"), "--check"]
    environ = os.environ | {"PYTHONPATH": str(DOCS.parent)}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


def section(page: str, heading: str) -> str:
    """What is under a heading, up to the next one of its level or above."""
    text = (DOCS / page).read_text("utf-8")
    level = heading.split()[0]
    after = text.split(f"\n{heading}", 1)[1].split("\n", 1)[1]
    return re.split(rf"\n#{{1,{len(level)}}} ", after)[0]


def rows(text: str) -> list[str]:
    """The first column of the tables in ``text``."""
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


def test_no_page_is_stale() -> None:
    result = check(DOCS)
    assert result.returncode == 0, result.stderr


def test_a_stale_and_a_missing_page_are_named(tmp_path: Path) -> None:
    docs = shutil.copytree(DOCS, tmp_path / "docs")
    page = docs / "settings.md"
    page.write_text(page.read_text("utf-8").replace("commit_rows", "commit_lines"), "utf-8")
    (docs / "events.md").unlink()
    result = check(docs)
    assert result.returncode == 1
    assert re.findall(r"docs/(\S+) is stale", result.stderr) == ["events.md", "settings.md"]


def test_every_verb_has_its_help() -> None:
    text = (DOCS / "cli.md").read_text("utf-8")
    words = [name for name in build() if not name.startswith("-")]
    assert len(words) > 10
    for word in words:
        assert re.search(rf"^## segmenter {word}( \w+)?\n\n```text\nUsage: segmenter {word}\b", text, re.MULTILINE)


def test_every_setting_and_variable_is_there() -> None:
    text = (DOCS / "settings.md").read_text("utf-8")
    files = [f"{PREFIX}{name.upper()}_FILE" for name in SECRETS]
    assert rows(text) == [*FIELDS, *files]
    for name in (*(PREFIX + name.upper() for name in FIELDS), REDIS_BIN):
        assert f"`{name}`" in text


def test_the_example_of_the_settings_file_is_one(tmp_path: Path) -> None:
    (toml,) = re.findall(r"```toml\n(.*?)```", section("settings.md", "## segmenter.toml"), re.DOTALL)
    (tmp_path / "segmenter.toml").write_text(toml, "utf-8")
    found, sources = settings.load_with_sources(tmp_path, {})
    assert found.segments == ("visitor", "reader", "regular", "fan")
    assert list(sources.values()).count("segmenter.toml") == len(toml.splitlines())


def test_every_field_kind_topic_and_reason_of_an_event_is_there() -> None:
    assert rows(section("events.md", "## Fields")) == list(PricedEvent.__struct_fields__)
    kinds = re.findall(r"^\| `(\w+)` \| `(\w+)` \|", section("events.md", "## Kinds"), re.MULTILINE)
    assert kinds == [(name, kind.topic) for name, kind in BUILT_IN.items()]
    assert rows(section("events.md", "## What counts")) == list(REASONS)
    assert rows(section("events.md", "## Dead letters")) == list(DeadLetter.__struct_fields__)


def test_the_examples_are_events_and_a_dead_letter() -> None:
    examples, letter = re.findall(r"```json\n(.*?)\n```", (DOCS / "events.md").read_text("utf-8"), re.DOTALL)
    rules = Rules(partitions=4, currency=CURRENCY)
    for event, kind in zip(examples.splitlines(), (VIEW, PURCHASE), strict=True):
        key = json.loads(event)["user_id"].encode()
        verdict = events.decode(event.encode(), key, kind, shard_of(key, 4), 2_000_000_000_000, rules)
        assert isinstance(verdict, Event) and events.measure_of(verdict, kind)
    assert msgspec.json.decode(letter, type=DeadLetter).reason in REASONS


@pytest.mark.parametrize(
    ("file", "struct", "kind"),
    [("event.schema.json", Event, CLICK), ("priced-event.schema.json", PricedEvent, PURCHASE)],
)
def test_the_schema_and_the_struct_say_the_same(file: str, struct: type[Event], kind: Kind) -> None:
    schema = json.loads((DOCS / file).read_text("utf-8"))
    assert schema["required"] == ["user_id", "time_ms"]
    assert list(schema["properties"]) == list(struct.__struct_fields__)
    for name in struct.__struct_fields__:
        for value, bound in _at_the_bounds(schema["properties"][name]):
            event = {"user_id": "u42", "time_ms": 1} | {name: value}
            key = str(event["user_id"]).encode()
            rules = Rules(partitions=1, max_ahead_ms=10**18, currency=CURRENCY)
            verdict = events.decode(json.dumps(event).encode(), key, kind, 0, 0, rules)
            assert isinstance(verdict, struct) == (bound == "within"), (name, verdict)


def _at_the_bounds(field: dict[str, Any]) -> list[tuple[object, str]]:
    """Values just within and just beyond what the schema allows."""
    (kind,) = [each for each in field.get("anyOf", [field]) if each["type"] != "null"]
    null: list[tuple[object, str]] = [(None, "within" if "anyOf" in field else "beyond"), ([], "beyond")]
    if kind["type"] == "integer":
        low, high = kind["minimum"], kind["maximum"]
        return [*null, (low, "within"), (high, "within"), (low - 1, "beyond"), (high + 1, "beyond"), ("1", "beyond")]
    if kind["type"] == "object":
        return [*null, ({"a": [1]}, "within"), ("x", "beyond")]
    if "maxLength" not in kind:
        return [*null, (CURRENCY, "within"), (7, "beyond")]
    low, high = kind.get("minLength", 0), kind["maxLength"]
    short: list[tuple[object, str]] = [("", "beyond" if low else "within")]
    return [*null, *short, ("x" * high, "within"), ("x" * (high + 1), "beyond"), (7, "beyond")]


@pytest.fixture
def used(settings: Settings) -> Settings:
    """A store after some events and a generation."""
    publish(settings, generate(2_000, 100, 1))
    worker.run(settings, once=True)
    return settings


def test_every_key_in_redis_and_every_field_is_there(used: Settings) -> None:
    keys = section("redis.md", "## Keys")
    types = dict(re.findall(r"^\| `seg:(\w+)[^|]*` \| (\w+) \|", keys, re.MULTILINE))
    fields = {
        "user": rows(section("redis.md", "## A user").split("\n### ")[0]),
        "shard": rows(section("redis.md", "## A shard")),
        "model": re.findall(r"`(\w+)`", keys),
        "meta": re.findall(r"`(\w+)`", keys),
    }
    client: Any = connect(used)
    found = {key.decode(): client.type(key).decode() for key in client.keys(f"{used.key_prefix}:*")}
    lists = {name: kind for name, kind in types.items() if kind == "list"}
    assert {key.split(":")[1]: kind for key, kind in found.items()} | lists == types
    assert set(lists) == {"commands", "reply"}
    for key, kind in found.items():
        if kind == "hash":
            named = {name.decode() for name in client.hkeys(key) if not name.isdigit()}
            assert named <= set(fields[key.split(":")[1]]), key
    ((_, entry),) = client.xrange(Keys(used.key_prefix).feed(0), count=1)
    assert [name.decode() for name in entry] == rows(section("redis.md", "## The change feed"))
    generation = read_model(client, used)
    client.close()
    assert generation is not None
    assert rows(section("redis.md", "## The model")) == list(generation.__struct_fields__)
