"""The warehouse in SQL, the same text on SQLite, MySQL and MariaDB: templates of Jinja2 over the kinds of events.

Numbered files build the schema, in order; ``006_kind.sql`` is applied once for each kind. ``summary.sql`` is the batch
summary: the aggregates of each user, computed from the raw events alone. ``counts.sql`` counts the events of each shard
by the same rule. ``users.sql`` is the view with one row a user and one column an attribute; ``users_arriving.sql`` and
``users_last.sql`` decide which values of a file it gets.
"""
