"""docs/settings.md: each setting and its variable."""

from __future__ import annotations

from pathlib import Path

from generator.source import GENERATED, code, table
from segmenter.settings import FIELDS, PREFIX, REDIS_BIN, SECRETS

EXAMPLE = {
    "kafka": "broker-1:9092,broker-2:9092",
    "redis_url": "redis://cache:6379/0",
    "partitions": 12,
    "segments": ["visitor", "reader", "regular", "fan"],
}


def page() -> str:
    """Every setting with variable, default, what it may be, and meaning."""
    return f"""{GENERATED}
# Settings

A value is taken from the first of: an argument, a `{PREFIX}*` variable, `segmenter.toml` in the current directory, the
default. An unknown name is an error that names the nearest one. `segmenter config show` prints every setting with its
value and where that came from, passwords masked.

{table(("setting", "variable", "default", "may be", "meaning"), map(_row, FIELDS))}
A list is written with commas in a variable, and as a list in the file.

## Secrets

A URL may hold a password. Instead of the variable itself, one of these may name a file that holds the value and nothing
else; setting both is an error. No secret is shown in logs, errors or the process list. See [security.md](security.md).

{table(("variable", "setting"), [(code(f"{PREFIX}{name.upper()}_FILE"), code(name)) for name in SECRETS])}
## The embedded Redis

`{REDIS_BIN}` is not a setting: it names the `redis-server` that `segmenter up` and `segmenter demo` start.
Without it they take the one on `PATH`, else the one of the extra `embedded`.

## segmenter.toml

```toml
{toml()}
```
"""


def toml() -> str:
    """An example of the file."""
    lines = [f"{name} = {str(value) if isinstance(value, int) else _quoted(value)}" for name, value in EXAMPLE.items()]
    return "\n".join(lines)


def _quoted(value: object) -> str:
    return str(value).replace("'", '"') if isinstance(value, list) else f'"{value}"'


def _row(name: str) -> tuple[str, ...]:
    field = FIELDS[name]
    return (
        code(name),
        code(PREFIX + name.upper()),
        _shown(field.default),
        field.metadata["allowed"].words,
        field.metadata["meaning"],
    )


def _shown(default: object) -> str:
    if isinstance(default, tuple):
        return code(",".join([getattr(each, "name", each) for each in default])) if default else "empty"
    return code(default) if isinstance(default, int | Path) or default else "empty"
