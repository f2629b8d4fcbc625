"""Where the value of a setting comes from.

It is taken from the first of: an argument, a ``SEGMENTER_*`` variable, ``segmenter.toml`` in the current directory, the
default. An unknown name is an error that names the nearest one.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from segmenter import kinds
from segmenter.errors import SettingsError
from segmenter.settings.definition import FIELDS, PREFIX, SECRETS, Settings, checked

FILE = "segmenter.toml"
REDIS_BIN = "SEGMENTER_REDIS_BIN"
"""The one variable that is not a setting: the redis-server that the embedded parts start."""


def load(folder: Path | None = None, environ: Mapping[str, str] = os.environ, **arguments: Any) -> Settings:
    """The settings in force. ``folder`` (default: the current one) holds ``segmenter.toml``; None is no argument.

    Raises SettingsError for an unknown name or a value that is not allowed.
    """
    return load_with_sources(folder, environ, **arguments)[0]


def load_with_sources(
    folder: Path | None = None, environ: Mapping[str, str] = os.environ, **arguments: Any
) -> tuple[Settings, dict[str, str]]:
    """`load`, and each setting's source: ``argument``, the variable, ``segmenter.toml`` or ``default``."""
    given = {name: value for name, value in arguments.items() if value is not None}
    for name in given.keys() - FIELDS.keys():
        raise SettingsError(f"there is no setting {name}; the nearest is {_nearest(name, FIELDS)}")
    found: dict[str, tuple[Any, str]] = {}
    file = _from_file((folder or Path()) / FILE)
    tables = file.get("kinds")
    own = kinds.own(tables) if isinstance(tables, dict) else {}
    if own:
        file["kinds"] = tuple({kind.name: kind for kind in (*kinds.DEFAULT, *own.values())}.values())
    found |= {name: (value, FILE) for name, value in file.items()}
    found |= _from_variables(environ)
    found |= {name: (value, "argument") for name, value in given.items()}
    if "kinds" in found and isinstance(names := found["kinds"][0], str):
        found["kinds"] = kinds.pick(names.split(","), kinds.BUILT_IN | own), found["kinds"][1]
    values = {name: checked(name, value, _place(name, source)) for name, (value, source) in found.items()}
    return Settings(**values), {name: found[name][1] if name in found else "default" for name in FIELDS}


def _place(name: str, source: str) -> str:
    return f"{name} in {FILE}" if source == FILE else name if source == "argument" else source


def _from_file(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from None
    for name in values.keys() - FIELDS.keys():
        raise SettingsError(f"{FILE} has no setting {name}; the nearest is {_nearest(name, FIELDS)}")
    return values


def _from_variables(environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    names = {PREFIX + name.upper(): name for name in FIELDS}
    files = {f"{PREFIX}{name.upper()}_FILE": name for name in SECRETS}
    found = {}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable.startswith("SEGMENTER_TEST_") or variable == REDIS_BIN:
            continue
        if variable in names:
            found[names[variable]] = (environ[variable], variable)
        elif variable not in files:
            raise SettingsError(
                f"{variable} is not a variable; the nearest is {_nearest(variable, {**names, **files})}"
            )
        elif (name := files[variable]) in found:
            raise SettingsError(f"{variable} and {found[name][1]} are both set; unset one of them")
        else:
            found[name] = (_secret(variable, Path(environ[variable])), variable)
    return found


def _secret(variable: str, path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(f"{variable} names {path}, which cannot be read: {reason}") from None


def _nearest(name: str, known: Iterable[str]) -> str:
    return difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
