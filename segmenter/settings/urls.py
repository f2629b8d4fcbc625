"""URLs and passwords as text: how they are shown, and the authorities that a connection trusts."""

from __future__ import annotations

import re
from urllib.parse import quote


def masked(url: str) -> str:
    """``url`` without its password, wherever the password is in it.

    >>> masked("mysql+pymysql://app:p@ss@db/clicks?charset=utf8mb4")
    'mysql+pymysql://app:***@db/clicks?charset=utf8mb4'
    >>> masked("redis://cache:6379/0?password=s3cret")
    'redis://cache:6379/0?password=***'
    """
    url = re.sub(r"://([^:@/?#]*):.*@", r"://\1:***@", url)
    url = re.sub(r"^(rediss?://)[^:@/?#]+@", r"\1***@", url)  # a password that was written as a user's name
    return re.sub(r"(?i)([?&][^=&]*(?:pass|secret|token)[^=&]*=)[^&]*", r"\1***", url)


def location(url: str) -> str:
    """The address in ``url``, without user, password and options.

    >>> location("rediss://app:s3cret@cache:6379/0?timeout=3")
    'cache:6379/0'
    """
    return url.partition("?")[0].rpartition("://")[2].rpartition("@")[2]


def hidden(password: str) -> str:
    """What is shown instead of a password; nothing if there is none."""
    return "***" if password else ""


def trusting(url: str, authorities: str) -> str:
    """The URL of a warehouse, with the file of ``authorities`` unless it has its own options for TLS.

    >>> trusting("mysql+pymysql://app@db/clicks?charset=utf8mb4", "/etc/ca.pem")
    'mysql+pymysql://app@db/clicks?charset=utf8mb4&ssl_ca=/etc/ca.pem'
    """
    query = url.rpartition("@")[2].partition("?")[1:]
    if not authorities or not url.startswith(("mysql", "mariadb")) or "ssl_" in query[1]:
        return url
    return f"{url}{'&' if query[0] else '?'}ssl_ca={quote(authorities)}"
