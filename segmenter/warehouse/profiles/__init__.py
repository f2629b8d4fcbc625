"""What SQL counts of the users of each segment or cluster, as tables of pandas, and the actions that people set."""

from __future__ import annotations

from segmenter.warehouse.profiles.actions import MAX_ACTION, read_actions, set_action
from segmenter.warehouse.profiles.attributes import read_attribute, read_known
from segmenter.warehouse.profiles.events import EVENT_FIELDS, read_amounts, read_properties, read_quarters, read_values
from segmenter.warehouse.profiles.groups import Groups, groups_of, read_features
from segmenter.warehouse.profiles.properties import property_names

__all__ = [
    "EVENT_FIELDS",
    "MAX_ACTION",
    "Groups",
    "groups_of",
    "property_names",
    "read_actions",
    "read_amounts",
    "read_attribute",
    "read_features",
    "read_known",
    "read_properties",
    "read_quarters",
    "read_values",
    "set_action",
]
