"""The Lua scripts, one file each; Redis runs a script without interruption."""

from __future__ import annotations

import hashlib
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


def line_of(digest: str, number: int) -> str:
    """A line, counted from 1, of the script that Redis knows by this SHA-1; empty if it is not one of these."""
    for file in files("segmenter.store").iterdir():
        if file.name.endswith(".lua") and hashlib.sha1(file.read_bytes()).hexdigest() == digest:
            return file.read_text().splitlines()[number - 1].strip()
    return ""
