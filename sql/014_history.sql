-- A snapshot may hold only the users who are not as in an earlier one, its base; 0 if it holds all. Of the base's users,
-- those are gone whom snapshot_removed names.
{% if "base_id" not in snapshot_columns %}
ALTER TABLE snapshots ADD COLUMN base_id INTEGER NOT NULL DEFAULT 0;
{% endif %}
CREATE TABLE IF NOT EXISTS snapshot_removed (
    snapshot_id INTEGER NOT NULL,
    user_id VARBINARY(512) NOT NULL,
    PRIMARY KEY (snapshot_id, user_id)
);

-- How many users each segment had in each snapshot. Stays when the snapshot is removed.
CREATE TABLE IF NOT EXISTS segment_sizes (
    snapshot_id INTEGER NOT NULL,
    segment VARCHAR(128) NOT NULL,
    name VARCHAR(128) NOT NULL,
    users BIGINT NOT NULL,
    taken_ms BIGINT NOT NULL,
    PRIMARY KEY (snapshot_id, segment)
);
INSERT INTO segment_sizes (snapshot_id, segment, name, users, taken_ms)
SELECT s.snapshot_id, u.segment, u.segment, COUNT(*), s.taken_ms
FROM snapshots s
JOIN snapshot_users u ON u.snapshot_id = s.snapshot_id
WHERE NOT EXISTS (SELECT 1 FROM segment_sizes z WHERE z.snapshot_id = s.snapshot_id)
GROUP BY s.snapshot_id, u.segment, s.taken_ms;

-- Every change of a user's segment, as the shard's change feed had it: at_ms, by Redis' clock, and at_seq are the entry's
-- id there. from_segment is empty for a new user, to_segment for one whose row was removed.
CREATE TABLE IF NOT EXISTS segment_changes (
    part INTEGER NOT NULL,
    user_id VARBINARY(512) NOT NULL,
    at_ms BIGINT NOT NULL,
    at_seq BIGINT NOT NULL,
    from_segment VARCHAR(128) NOT NULL,
    to_segment VARCHAR(128) NOT NULL,
    cause VARCHAR(16) NOT NULL,
    generation INTEGER NOT NULL,
    PRIMARY KEY (part, user_id, at_ms, at_seq)
);
{% if "segment_changes_at_ms" not in change_indexes %}
CREATE INDEX segment_changes_at_ms ON segment_changes (at_ms);
{% endif %}

-- From when to when all changes of a shard are in segment_changes, by Redis' clock. The last entry that was read of the
-- feed has the id read_ms-read_seq and the running number n, in the store of this id. All rows of the snapshot were read
-- within the span, from snapshot_ms on; 0 if there is none.
CREATE TABLE IF NOT EXISTS change_spans (
    part INTEGER NOT NULL,
    first_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    read_ms BIGINT NOT NULL,
    read_seq BIGINT NOT NULL,
    n BIGINT NOT NULL,
    store_id VARCHAR(64) NOT NULL,
    snapshot_id INTEGER NOT NULL,
    snapshot_ms BIGINT NOT NULL,
    PRIMARY KEY (part, first_ms)
);

-- What each `segmenter reconcile` found; the counts are of users, but for shards, whose counts were wrong, and gaps.
CREATE TABLE IF NOT EXISTS reconciliations (
    reconciled_ms BIGINT NOT NULL,
    snapshot_id INTEGER NOT NULL,
    compared BIGINT NOT NULL,
    differing BIGINT NOT NULL,
    missing BIGINT NOT NULL,
    extra BIGINT NOT NULL,
    shards BIGINT NOT NULL,
    gaps BIGINT NOT NULL,
    PRIMARY KEY (reconciled_ms, snapshot_id)
);

{% for name in ["current_segments", "segment_sizes_daily", "segment_moves"] %}
{% set query %}
{% include name ~ ".sql" %}
{% endset %}
{% for statement in new_view %}
{{ statement.format(name=name, query=query) }};
{% endfor %}
{% endfor %}
