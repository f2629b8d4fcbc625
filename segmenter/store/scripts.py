"""The Lua scripts, one file each; Redis runs a script without anything in between."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import redis
from redis.commands.core import Script


@cache
def _source(name: str) -> str:
    return files("segmenter.store").joinpath(f"{name}.lua").read_text()


def script(client: redis.Redis, name: str) -> Script:
    """The script of ``name``.lua, to be called with ``keys`` and ``args``."""
    return client.register_script(_source(name))
