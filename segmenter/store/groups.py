"""The consumer group in which the workers meet.

It is the group of the settings, until that one gets stuck in the broker: then ``GROUP.1``, ``GROUP.2`` and so on.
Nothing of value is in a group, since offsets are in the shards.
"""

from __future__ import annotations

from typing import cast

import redis

from segmenter.settings import Settings
from segmenter.store.connection import reaching
from segmenter.store.keys import Keys
from segmenter.store.scripts import script

_FIELD = "group"


def group_in_use(client: redis.Redis, settings: Settings) -> str:
    """Where the workers meet now."""
    with reaching(client):
        number = cast("bytes | None", client.hget(Keys(settings.key_prefix).meta(), _FIELD))
    return settings.group if number is None else f"{settings.group}.{int(number)}"


def next_group(client: redis.Redis, settings: Settings, stuck: str) -> None:
    """Have the workers meet elsewhere, unless they have left the ``stuck`` group already."""
    number = stuck.removeprefix(settings.group).removeprefix(".")
    with reaching(client):
        script(client, "regroup")(keys=[Keys(settings.key_prefix).meta()], args=[number])
