"""Granting the rights in docs/security.md."""

from __future__ import annotations

import sqlalchemy
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    KafkaAdminClient,
    ResourcePattern,
    ResourceType,
)

from segmenter.store.connection import connect
from segmenter.topics.client import client_options
from tests.security import page
from tests.security.guarded import Guarded
from tests.security.servers import ROOT


def users() -> set[str]:
    """Every user that the page names."""
    kafka = {rule.principal.removeprefix("User:") for rule in page.kafka_rules()}
    redis = {words[2] for words in page.redis_lines()}
    return kafka | redis | {_user(statement) for statement in page.sql_statements() if _makes_a_user(statement)}


def grant(guarded: Guarded) -> None:
    """Make the users of Redis and the warehouse, and give everyone the rights that the page says."""
    root = guarded.settings(ROOT, ROOT, ROOT)
    client = connect(root)
    for words in page.redis_lines():
        client.execute_command(*[word.replace("PASSWORD", guarded.passwords[words[2]]) for word in words])
    client.close()
    engine = sqlalchemy.create_engine(root.warehouse_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in page.sql_statements():
            password = guarded.passwords[_user(statement)] if _makes_a_user(statement) else ""
            connection.execute(sqlalchemy.text(statement.replace("PASSWORD", password)))
    engine.dispose()
    with KafkaAdminClient(**client_options(root)) as admin:
        assert admin.create_acls([acl for rule in page.kafka_rules() for acl in _acls(rule)])["failed"] == []


def _acls(rule: page.KafkaRule) -> list[ACL]:
    of = [(ResourceType.TOPIC, topic) for topic in rule.topics]
    of += [(ResourceType.GROUP, rule.group)] if rule.group else []
    pattern = ACLResourcePatternType[rule.pattern.upper()]
    operation = ACLOperation[rule.operation.upper()]
    return [
        ACL(rule.principal, "*", operation, ACLPermissionType.ALLOW, ResourcePattern(kind, name, pattern))
        for kind, name in of
    ]


def _makes_a_user(statement: str) -> bool:
    return statement.startswith("CREATE USER")


def _user(statement: str) -> str:
    return statement.split("'")[1]
