"""The warehouse in SQL, the same text on SQLite, MySQL and MariaDB: templates of Jinja2 over the kinds of events.

Numbered files build the schema, in order; those that end in ``_kind.sql`` are applied once for each kind. The batch
summary of each user is kept up to date by ``repeats.sql``, ``fold.sql`` and ``merge.sql`` (docs/warehouse.md), and read
as ``user_activity_summary.sql``. ``summary.sql`` is the same in one statement over all raw events, and ``counts.sql``
counts the events of each shard by the same rule. ``unequal.sql`` compares a snapshot with it, after ``beyond.sql`` and
``moved.sql`` have put right the users of whom the two do not stand at the same offsets. ``users.sql`` is the view with
one row a user and one column an attribute; ``users_arriving.sql`` and ``users_last.sql`` decide which values of a file
it gets.
"""
