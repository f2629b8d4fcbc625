"""What a setting may be: in words, and as a function that accepts only such values."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from segmenter import kinds
from segmenter.kinds import Kind

EMBEDDED = "embedded"


class Allowed(NamedTuple):
    """What a setting may be, in words. ``read`` converts a value; it raises ValueError or TypeError for others."""

    words: str
    read: Callable[[Any], Any]
    near: Callable[[Any], tuple[str, ...]] = lambda _: ()
    """Allowed values that are near one that is not."""


def whole(low: int, high: int) -> Allowed:
    """A whole number between the two, or its digits."""

    def read(value: Any) -> int:
        if isinstance(value, bool | float) or not low <= int(value) <= high:
            raise ValueError
        return int(value)

    return Allowed(f"a whole number from {low:,} to {high:,}", read)


def text(pattern: str, words: str, also: Callable[[str], bool] = lambda _: True) -> Allowed:
    """A string that matches all of ``pattern`` and passes ``also``."""

    def read(value: Any) -> str:
        if not re.fullmatch(pattern, value) or not also(value):
            raise ValueError
        return str(value)

    return Allowed(words, read)


def name(low: int, high: int) -> Allowed:
    """A name of ``low`` to ``high`` characters that both Kafka and Redis accept."""
    return text(f"[A-Za-z0-9._-]{{{low},{high}}}", f"{low} to {high} of A-Z a-z 0-9 . _ -")


def _ports_fit(addresses: str) -> bool:
    return addresses == EMBEDDED or all(0 < int(one.rpartition(":")[2]) < 65_536 for one in addresses.split(","))


def _port_fits(url: str) -> bool:
    return urlsplit(url).port != 0


def _slugs(value: Any) -> tuple[str, ...]:
    slugs = tuple(slug.strip() for slug in (value.split(",") if isinstance(value, str) else value))
    fit = all(re.fullmatch("[a-z][a-z0-9_]{0,39}", slug) and slug != "unassigned" for slug in slugs)
    if not fit or not 2 <= len(slugs) <= 12 or len(set(slugs)) < len(slugs):
        raise ValueError
    return slugs


def _kinds(value: Any) -> tuple[Kind, ...]:
    given: list[Any] = value.split(",") if isinstance(value, str) else list(value)
    return kinds.checked(given) if all(isinstance(each, Kind) for each in given) else kinds.pick(given)


def _features(value: Any) -> tuple[str, ...]:
    names = tuple(name.strip() for name in (value.split(",") if isinstance(value, str) else value))
    return () if names == ("",) else tuple(dict.fromkeys(names))


def _certificates(value: Any) -> str:
    if value != "" and "-----BEGIN CERTIFICATE-----" not in _text_of(Path(value).expanduser()):
        raise ValueError
    return str(Path(value).expanduser().absolute()) if value else ""


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError:
        raise ValueError from None


def _timezone(value: Any) -> str:
    if value != "UTC":  # the default needs no file of a zone, nor the time to import what reads it
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, OSError):
            raise ValueError from None
    return str(value)


def _near_timezones(value: Any) -> tuple[str, ...]:
    """Zones whose name, or whose last part, is written much like the value."""
    from difflib import get_close_matches
    from zoneinfo import available_timezones

    zones = sorted(available_timezones())
    whole = {zone.casefold(): zone for zone in zones}
    names = {name.rpartition("/")[2]: zone for name, zone in whole.items()} | whole
    return tuple(dict.fromkeys([names[name] for name in get_close_matches(str(value).casefold(), names)]))


def _folder(value: Any) -> Path:
    if not str(value) or "\0" in str(value):
        raise ValueError
    return Path(value).expanduser()


_HOST = r"(\[[0-9A-Fa-f:]+\]|[^\s:,/@\[\]]+):\d{1,5}"
KAFKA = text(f"{EMBEDDED}|{_HOST}(,{_HOST})*", "embedded, or host:port with further ones after commas", _ports_fit)
REDIS = text(rf"{EMBEDDED}|(rediss?|unix)://\S+", "embedded, or redis://[user:password@]host:port/0", _port_fits)
WAREHOUSE = text(
    rf"{EMBEDDED}|sqlite:///.+|(mysql|mariadb)\+pymysql://\S+",
    "embedded, sqlite:///file, or mysql+pymysql://user:password@host/database (or mariadb+pymysql)",
    _port_fits,
)
SWITCH = text("off|on", "off or on")
USER = text(r"[^\s,=]{0,128}", "up to 128 characters, none of them a space, a comma or =")
PASSWORD = text(r"[^\0\r\n]{0,1024}", "up to 1,024 characters on one line")
CERTIFICATES = Allowed("a PEM file of certificates, or empty", _certificates)
LEVEL = text("debug|info|warning|error", "debug, info, warning or error")
FOLDER = Allowed("a folder", _folder)
SLUGS = Allowed("2 to 12 different names of a-z 0-9 _, each beginning with a letter, none of them unassigned", _slugs)
KINDS = Allowed("names of kinds (docs/kinds.md), with commas between them", _kinds)
FEATURES = Allowed("names of features that the kinds give, with commas between them, or empty", _features)
CURRENCY = text("[A-Z]{3}", "a code of ISO 4217: three capital letters")
TIMEZONE = Allowed("a name of the IANA time zone database, such as Europe/Berlin", _timezone, _near_timezones)
