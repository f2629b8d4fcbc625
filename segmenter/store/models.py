"""The published generations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import msgspec
import redis

from segmenter.errors import Corrupt, SegmenterError
from segmenter.model.generation import UNASSIGNED, Generation, digest, name_of
from segmenter.settings import Settings
from segmenter.store.connection import reaching
from segmenter.store.keys import Keys
from segmenter.store.scripts import script

REPLACE = (
    "something else has changed it. Stop the workers and run `segmenter restore --replace`, or set "
    "SEGMENTER_KEY_PREFIX to an unused one."
)
"""What to do with a model that is not as it was published."""

KEPT = 100
"""How many generations stay readable."""


def read_model(client: redis.Redis, settings: Settings) -> Generation | None:
    """The current generation, None before the first. Raises `SegmenterError` if it cannot be read."""
    keys = Keys(settings.key_prefix)
    with _of_the_model(), reaching(client):
        found = cast("bytes | None", script(client, "model")(keys=[keys.model()]))
        return None if found is None else Generation.decode(found)


def kept_generations(client: redis.Redis, settings: Settings) -> dict[int, Generation]:
    """The generations that are still readable, by number. Raises as `read_model`."""
    with _of_the_model(), reaching(client):
        fields = cast("dict[bytes, bytes]", client.hgetall(Keys(settings.key_prefix).model()))
        return {int(name): Generation.decode(body) for name, body in fields.items() if name.isdigit()}


def decode_names(stored: bytes | Corrupt | None) -> dict[str, str]:
    """The readable name of each slug, from the field ``names`` or what came in its place. Raises as `read_model`."""
    with _of_the_model():
        if isinstance(stored, Corrupt):
            raise stored
        return msgspec.json.decode(stored or b"{}", type=dict[str, str])


@contextmanager
def _of_the_model() -> Iterator[None]:
    try:
        yield
    except (Corrupt, ValueError) as error:
        raise SegmenterError(f"the model in Redis cannot be read: {REPLACE}") from error


def publish(client: redis.Redis, settings: Settings, generation: Generation, after: Generation | None) -> bool:
    """Make ``generation`` the current one if ``after`` still is; returns whether it now is."""
    keys = Keys(settings.key_prefix)
    segments = (*generation.retired, *generation.segments)
    names = {UNASSIGNED: name_of(UNASSIGNED)} | {segment.slug: segment.name for segment in segments}
    arguments: list[str | bytes | int] = [
        "" if after is None else digest(after),
        digest(generation),
        generation.number,
        generation.encode(),
        msgspec.json.encode(names),
        generation.number - KEPT,
    ]
    with reaching(client):
        return bool(script(client, "publish")(keys=[keys.model()], args=arguments))
