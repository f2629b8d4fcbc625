"""A store and a warehouse as text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import redis
import sqlalchemy
from sqlalchemy import text

from segmenter.settings import Settings


def stored(settings: Settings) -> Iterator[dict[str, Any]]:
    """Each key of the store, without prefix, its type and its value. None of them expires."""
    with closing(redis.Redis.from_url(settings.redis_url)) as client:
        for key in sorted(client.keys(f"{settings.key_prefix}:*")):
            kind = client.type(key).decode()
            value: Any
            if kind == "hash":
                value = {shown(name): shown(held) for name, held in sorted(client.hgetall(key).items())}
            elif kind == "set":
                value = sorted(map(shown, client.smembers(key)))
            elif kind == "stream":
                entries = client.xrange(key)
                (names,) = {tuple(entry) for _, entry in entries}  # written once
                value = [[*map(shown, names)], *([shown(at), *map(shown, entry.values())] for at, entry in entries)]
            else:
                raise AssertionError(f"{key!r} is a {kind}")
            yield {"key": shown(key.removeprefix(f"{settings.key_prefix}:".encode())), "type": kind, "value": value}


def tables_and_rows(url: str) -> tuple[list[str], list[str]]:
    """The statements that make the tables of a warehouse, and those that fill them."""
    engine = sqlalchemy.create_engine(url)
    tables, rows = [], []
    with engine.connect() as connection:
        for table in sorted(sqlalchemy.inspect(connection).get_table_names()):
            if engine.dialect.name == "sqlite":
                query = text(f"SELECT sql FROM sqlite_master WHERE name = '{table}'")
                tables.append(str(connection.execute(query).scalar_one()))
            else:
                tables.append(str(connection.execute(text(f"SHOW CREATE TABLE {table}")).one()[1]))
            found = connection.execute(text(f"SELECT * FROM {table}"))
            columns = ", ".join(found.keys())
            if values := [f"({', '.join(map(literal, row))})" for row in sorted(found, key=repr)]:
                rows.append(f"INSERT INTO {table} ({columns}) VALUES\n" + ",\n".join(values))
    engine.dispose()
    return tables, rows


def literal(value: object) -> str:
    """A value as SQLite and MySQL read it alike."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    if isinstance(value, str):
        assert not {"\\", "\n"} & set(value), value  # the one means something to MySQL only, the other ends a statement
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


def shown(data: bytes | None) -> str | None:
    """Bytes as text that JSON can hold, and that gives the same bytes again."""
    return None if data is None else data.decode("utf-8", "surrogateescape")
