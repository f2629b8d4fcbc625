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
