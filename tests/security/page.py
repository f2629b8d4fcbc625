"""The rights in docs/security.md, as they are written there."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[2] / "docs" / "security.md"


class KafkaRule(NamedTuple):
    """One line for kafka-acls.sh: what a user may do with which topics, or with which group."""

    principal: str
    operation: str
    topics: list[str]
    group: str | None
    pattern: str


def redis_lines() -> list[list[str]]:
    """The words of each ACL SETUSER."""
    return [line.split() for line in _lines("ACL SETUSER ")]


def kafka_rules() -> list[KafkaRule]:
    """What each line for kafka-acls.sh allows."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--add", action="store_true", required=True)
    parser.add_argument("--allow-principal", required=True)
    parser.add_argument("--operation", required=True)
    parser.add_argument("--topic", action="append", default=[])
    parser.add_argument("--group")
    parser.add_argument("--resource-pattern-type", default="literal")
    read = [parser.parse_args(shlex.split(line)[1:]) for line in _lines("kafka-acls.sh ")]
    return [
        KafkaRule(line.allow_principal, line.operation, line.topic, line.group, line.resource_pattern_type)
        for line in read
    ]


def sql_statements() -> list[str]:
    """Each CREATE USER and GRANT, without its semicolon."""
    return [line.removesuffix(";") for line in (*_lines("CREATE USER "), *_lines("GRANT "))]


def _lines(beginning: str) -> list[str]:
    found = re.findall(rf"^{beginning}.*$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert found, beginning
    return found
