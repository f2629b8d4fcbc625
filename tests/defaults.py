"""The names that follow from the default kinds and features, as most tests use them."""

from __future__ import annotations

from segmenter.kinds import BUILT_IN, DEFAULT, DEFAULT_FEATURES, Kind, by_topic
from segmenter.model import features, profiles
from segmenter.warehouse import raw_columns, user_columns, value_columns

CLICK, SEARCH, VIEW = DEFAULT
TOPICS = {topic: kind.name for topic, kind in by_topic(DEFAULT).items()}
FIELDS = profiles.fields(DEFAULT)
GROUP = FIELDS[:-2]
KIND_FIELDS = {kind.name: kind.fields for kind in DEFAULT}
FEATURES = features.named(DEFAULT_FEATURES, DEFAULT)
NAMES = DEFAULT_FEATURES
RAW_COLUMNS = raw_columns(CLICK)
USER_COLUMNS = user_columns(DEFAULT)
VALUES = value_columns(DEFAULT)

decode_profile = profiles.decoder(DEFAULT)


def kind_of(topic: str) -> Kind:
    """The built-in kind whose events a topic holds."""
    return next(kind for kind in BUILT_IN.values() if kind.topic == topic)
