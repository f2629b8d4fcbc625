-- The raw events as they stand in the log, one table a topic, keyed by partition and offset
-- (part and pos, since the words partition and offset are reserved). Ids are bytes and are compared
-- byte for byte. Times and durations are milliseconds. record_ms is the log's own timestamp.

CREATE TABLE IF NOT EXISTS raw_clickstream (
    part INTEGER NOT NULL,
    pos BIGINT NOT NULL,
    topic_id VARCHAR(64) NOT NULL,
    user_id VARBINARY(512) NOT NULL,
    time_ms BIGINT NOT NULL,
    record_ms BIGINT NOT NULL,
    event_id VARBINARY(512),
    session_id VARBINARY(512),
    device TEXT,
    url TEXT,
    referrer TEXT,
    duration_ms BIGINT,
    item_id VARBINARY(512),
    query TEXT,
    properties TEXT,
    PRIMARY KEY (part, pos)
);

CREATE TABLE IF NOT EXISTS raw_searches (
    part INTEGER NOT NULL,
    pos BIGINT NOT NULL,
    topic_id VARCHAR(64) NOT NULL,
    user_id VARBINARY(512) NOT NULL,
    time_ms BIGINT NOT NULL,
    record_ms BIGINT NOT NULL,
    event_id VARBINARY(512),
    session_id VARBINARY(512),
    device TEXT,
    url TEXT,
    referrer TEXT,
    duration_ms BIGINT,
    item_id VARBINARY(512),
    query TEXT,
    properties TEXT,
    PRIMARY KEY (part, pos)
);

CREATE TABLE IF NOT EXISTS raw_views (
    part INTEGER NOT NULL,
    pos BIGINT NOT NULL,
    topic_id VARCHAR(64) NOT NULL,
    user_id VARBINARY(512) NOT NULL,
    time_ms BIGINT NOT NULL,
    record_ms BIGINT NOT NULL,
    event_id VARBINARY(512),
    session_id VARBINARY(512),
    device TEXT,
    url TEXT,
    referrer TEXT,
    duration_ms BIGINT,
    item_id VARBINARY(512),
    query TEXT,
    properties TEXT,
    PRIMARY KEY (part, pos)
);

-- How far the sink has loaded each partition, and of which topic, in the same transaction as the rows.
CREATE TABLE IF NOT EXISTS sink_offsets (
    topic VARCHAR(249) NOT NULL,
    part INTEGER NOT NULL,
    topic_id VARCHAR(64) NOT NULL,
    next_pos BIGINT NOT NULL,
    PRIMARY KEY (topic, part)
);

-- What holds for the whole warehouse. The rules by which events are judged, as JSON.
CREATE TABLE IF NOT EXISTS meta (
    name VARCHAR(64) NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (name)
);
