"""The published generations: how many stay, what the segments are called, and what is said if none can be read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing

import msgspec
import pytest
from redis import Redis

from segmenter.client import SegmentClient
from segmenter.errors import SegmenterError
from segmenter.events import Rules
from segmenter.model.generation import Generation, Segment
from segmenter.settings import Settings
from segmenter.store.connection import connect
from segmenter.store.keys import Keys
from segmenter.store.meta import claim
from segmenter.store.models import kept_generations, publish, read_model
from tests.store.ledger import generation_of


@pytest.fixture
def client(settings: Settings) -> Iterator[Redis]:
    with closing(connect(settings)) as opened:
        yield opened


def publish_all(client: Redis, settings: Settings, generations: list[Generation]) -> None:
    """One after the other."""
    before = None
    for generation in generations:
        assert publish(client, settings, generation, before)
        before = generation


@pytest.mark.parametrize("first", [1, 7_000])
def test_the_latest_hundred_generations_stay(client: Redis, settings: Settings, first: int) -> None:
    """No more, and no fewer; the first one of a store that was restored has any number."""
    all_of_them = [generation_of(number, 5) for number in range(first, first + 130)]
    for many in (1, 99, 100, 101, 130):
        client.delete(Keys(settings.key_prefix).model())
        publish_all(client, settings, all_of_them[:many])
        latest = {generation.number: generation for generation in all_of_them[:many][-100:]}
        assert kept_generations(client, settings) == latest
        assert read_model(client, settings) == all_of_them[many - 1]


def test_a_slug_goes_by_the_name_of_the_segment_that_has_it_now(client: Redis, settings: Settings) -> None:
    """A retired segment keeps its last slug, which another may have; where none has it, its users go by its name."""
    model = msgspec.structs.replace(
        generation_of(1, 5),
        segments=(Segment(3, "low", "Seldom here"), Segment(4, "high", "Always here")),
        retired=(Segment(1, "low", "Long gone"), Segment(2, "middle", "Now and then")),
    )
    publish_all(client, settings, [model])
    names = json.loads(client.hget(Keys(settings.key_prefix).model(), "names") or b"")
    assert names == {
        "unassigned": "Unassigned", "low": "Seldom here", "high": "Always here", "middle": "Now and then",
    }  # fmt: skip


SAYS = r"^the model in Redis cannot be read: .* `segmenter restore --replace`"

SPOILT: dict[str, Callable[[Redis, str], object]] = {
    "no json": lambda client, key: client.hset(key, "1", "{"),
    "another model": lambda client, key: client.hset(key, "1", '{"number":1}'),
    "no text": lambda client, key: client.hset(key, "1", b"\xff"),
    "a key of another type": lambda client, key: client.set(key, "a string"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_model_that_cannot_be_read_is_one_line_that_says_what_to_do(
    client: Redis, settings: Settings, how: str
) -> None:
    publish_all(client, settings, [generation_of(1, 5)])
    SPOILT[how](client, Keys(settings.key_prefix).model())
    for read in (read_model, kept_generations):
        with pytest.raises(SegmenterError, match=SAYS):
            read(client, settings)


@pytest.mark.parametrize("names", [b"{", b"[]", b'{"low":1}', b"\xff", None])
def test_a_lookup_whose_names_cannot_be_read_is_one_line_too(
    client: Redis, settings: Settings, names: bytes | None
) -> None:
    claim(client, settings, Rules.of(settings))
    publish_all(client, settings, [generation_of(1, 5)])
    key = Keys(settings.key_prefix).model()
    if names is None:
        client.set(key, "a string")
    else:
        client.hset(key, "names", names)
    asked = SegmentClient(settings.redis_url, key_prefix=settings.key_prefix)
    with asked, pytest.raises(SegmenterError, match=SAYS):
        asked.lookup("u1")
