-- The batch summary of each user, kept up to date by `segmenter summary refresh` and `segmenter reconcile`. All of it is
-- integers that can be added to: each kind of event adds its columns, whose ratios are in user_activity_summary.
-- distinct_days are days of UTC.
CREATE TABLE IF NOT EXISTS user_summary (
    user_id VARBINARY(512) NOT NULL,
    first_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    distinct_days BIGINT NOT NULL,
    distinct_sessions BIGINT NOT NULL,
    distinct_pages BIGINT NOT NULL,
    distinct_queries BIGINT NOT NULL,
    PRIMARY KEY (user_id)
);

-- What the distinct numbers have counted, as the first 16 bytes of its SHA-256: d is for days, s for sessions, p for pages
-- and q for queries. A refresh goes through it by shards, so it is kept by these.
CREATE TABLE IF NOT EXISTS user_seen (
    part INTEGER NOT NULL,
    user_id VARBINARY(512) NOT NULL,
    what CHAR(1) NOT NULL,
    digest VARBINARY(16) NOT NULL,
    PRIMARY KEY (part, user_id, what, digest)
);

-- How far the summary goes in each partition, and what became of the raw events before that.
CREATE TABLE IF NOT EXISTS summary_offsets (
    topic VARCHAR(249) NOT NULL,
    part INTEGER NOT NULL,
    next_pos BIGINT NOT NULL,
    folded BIGINT NOT NULL,
    duplicates BIGINT NOT NULL,
    PRIMARY KEY (topic, part)
);
