"""User ids are bytes: how Kafka, Redis and SQL hold them, and how they are shown to people and in JSON."""

from __future__ import annotations

import re

_PLAIN = re.compile(r"[A-Za-z0-9_.@:+-]+")


def key_of(user_id: str) -> bytes:
    """The key of a user's records: the id's bytes in UTF-8."""
    return user_id.encode()


def shown(user: bytes) -> str:
    """A user id for people to read and copy: quoted and escaped unless it is plain.

    >>> print(shown(b"u42"), shown(b"bob "), shown("b\\u00f3b".encode()), shown(b"Bob\\0"))
    u42 'bob ' 'b\\xf3b' 'Bob\\x00'
    """
    text = user.decode(errors="backslashreplace")
    return text if _PLAIN.fullmatch(text) else ascii(text)


def text_of(user: bytes) -> str:
    """A user id as JSON can hold it."""
    return user.decode(errors="backslashreplace")
