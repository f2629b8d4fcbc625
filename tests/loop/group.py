"""The group of the workers, as the broker sees it."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from kafka.admin import KafkaAdminClient

from segmenter.settings import Settings
from segmenter.store.connection import connect
from segmenter.store.meta import group_in_use
from segmenter.topics.client import client_options


class Groups(KafkaAdminClient):  # type: ignore[misc]
    """What one may do with a group stays unread: Tansu 0.6 names operations that the client does not know."""

    def _process_acl_operations(self, group: dict[str, Any]) -> dict[str, Any]:
        return group


def members(settings: Settings) -> set[str]:
    """Who is in the group that is in use."""
    with closing(connect(settings)) as client:
        group = group_in_use(client, settings)
    with Groups(**client_options(settings)) as admin:
        return {member["member_id"] for member in admin.describe_groups([group])[group]["members"]}
