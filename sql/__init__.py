"""The warehouse in SQL, the same text on SQLite, MySQL and MariaDB.

Numbered files build the schema, in order; each statement may be run twice. ``summary.sql`` is the batch
summary: the aggregates of each user, computed from the raw events alone. ``counts.sql`` counts the events of each shard
by the same rule.
"""
