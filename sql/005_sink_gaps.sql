-- Offsets of each partition that the sink did not load, since the log no longer held them: first_pos to before end_pos.
CREATE TABLE IF NOT EXISTS sink_gaps (
    topic VARCHAR(249) NOT NULL,
    part INTEGER NOT NULL,
    first_pos BIGINT NOT NULL,
    end_pos BIGINT NOT NULL,
    recorded_ms BIGINT NOT NULL,
    PRIMARY KEY (topic, part, first_pos)
);
