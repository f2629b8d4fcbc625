"""Topics as a whole: which exist, their ids, and that their partitions match."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any

from kafka.admin import KafkaAdminClient
from kafka.errors import TopicAlreadyExistsError, TopicAuthorizationFailedError

from segmenter.errors import ClientLost, PartitionsDiffer, TopicRecreated, Unreachable
from segmenter.events import DEAD_LETTERS
from segmenter.kinds import Kind
from segmenter.settings import Settings
from segmenter.topics.client import client_options, reaching

ANSWER_MS = 3_000
"""How long the broker may take to return the ids: a worker waits meanwhile, and may take 5 s to end."""


def event_topics(settings: Settings) -> dict[str, Kind]:
    """Each event topic by its full name, and the kind of event it holds."""
    return {settings.topic_prefix + kind.topic: kind for kind in settings.kinds}


def dead_letter_topic(settings: Settings) -> str:
    """The full name of the topic for dead letters."""
    return settings.topic_prefix + DEAD_LETTERS


def ensure_topics(settings: Settings) -> dict[str, str]:
    """Create the topics that are missing, and return the ids of the event topics.

    Raises `PartitionsDiffer` when the event topics do not all have ``settings.partitions`` partitions.
    """
    wanted = [*event_topics(settings), dead_letter_topic(settings)]
    with reaching(settings, "Describe"), KafkaAdminClient(**client_options(settings)) as admin:
        missing = [topic for topic, found in _describe(admin, wanted).items() if found is None]
        if missing:
            with reaching(settings, "Create"):
                _create(admin, missing, settings.partitions)
        return _checked_ids(_describe(admin, event_topics(settings)), settings)


def has_topic(settings: Settings, topic: str) -> bool:
    """Whether the log has a topic of this full name."""
    with reaching(settings, "Describe"), KafkaAdminClient(**client_options(settings)) as admin:
        return _describe(admin, [topic])[topic] is not None


def topic_ids(settings: Settings) -> dict[str, str]:
    """The ids of the event topics, which must all be there, with equal partition counts."""
    with closing(TopicGuard(settings)) as guard:
        return {settings.topic_prefix + topic: found for topic, found in guard.ids().items()}


class TopicGuard:
    """Makes sure that records are of the expected topics: a topic that was recreated has another id.

    A check after the records were read cannot come too early. Topics go by their names without prefix.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin: KafkaAdminClient | None = None

    def ids(self) -> dict[str, str]:
        """The ids that the event topics have now."""
        try:
            with reaching(self._settings, "Describe"):
                if self._admin is None:
                    self._admin = KafkaAdminClient(**client_options(self._settings), request_timeout_ms=ANSWER_MS)
                found = _checked_ids(_describe(self._admin, event_topics(self._settings)), self._settings)
        except ClientLost:
            self.close()
            raise
        return {topic.removeprefix(self._settings.topic_prefix): topic_id for topic, topic_id in found.items()}

    def check(self, known: Mapping[str, str]) -> None:
        """Raise `TopicRecreated` if a topic no longer has the id by which it is known."""
        now = self.ids()
        for topic, topic_id in known.items():
            if now[topic] != topic_id:
                raise TopicRecreated(topic, topic_id, now[topic])

    def close(self) -> None:
        """Release the connection; another is opened when it is needed."""
        if self._admin is not None:
            self._admin.close()
            self._admin = None


def _create(admin: KafkaAdminClient, topics: list[str], partitions: int) -> None:
    try:
        admin.create_topics({topic: {"num_partitions": partitions} for topic in topics}, wait_for_metadata=True)
    except TopicAlreadyExistsError:
        admin.wait_for_topics(topics)
    except TopicAuthorizationFailedError as error:
        raise TopicAuthorizationFailedError(topics) from error


def _describe(admin: KafkaAdminClient, topics: Iterable[str]) -> dict[str, dict[str, Any] | None]:
    found = {topic["name"]: topic for topic in admin.describe_topics(list(topics))}
    if hidden := [topic for topic in topics if found[topic]["error_code"] == TopicAuthorizationFailedError.errno]:
        raise TopicAuthorizationFailedError(hidden)
    return {topic: found[topic] if found[topic]["error_code"] == 0 else None for topic in topics}


def _checked_ids(found: dict[str, dict[str, Any] | None], settings: Settings) -> dict[str, str]:
    ids: dict[str, str] = {}
    counts: dict[str, int] = {}
    for topic, description in found.items():
        if description is None:
            raise Unreachable(
                f"Kafka at {settings.kafka} has no topic {topic!r}. Publish to it, or run `segmenter generate`."
            )
        ids[topic] = str(description["topic_id"])
        counts[topic] = len(description["partitions"])
    check_partitions(counts, settings)
    return ids


def check_partitions(counts: Mapping[str, int], settings: Settings) -> None:
    """Raise `PartitionsDiffer` unless each topic has as many partitions as the settings say."""
    if set(counts.values()) != {settings.partitions}:
        listed = ", ".join(f"{topic} has {count}" for topic, count in counts.items())
        raise PartitionsDiffer(
            f"every event topic needs {settings.partitions} partitions (SEGMENTER_PARTITIONS), but {listed}. "
            "Set the number they all have, or recreate them with equal counts."
        )
