-- When the sink was last alive, had last loaded all that the log lets be read, and had last loaded anything: milliseconds
-- since 1970 by the clock of the database, 0 for never.
CREATE TABLE IF NOT EXISTS sink_heartbeat (
    name VARCHAR(64) NOT NULL,
    beat_ms BIGINT NOT NULL,
    caught_up_ms BIGINT NOT NULL,
    loaded_ms BIGINT NOT NULL,
    PRIMARY KEY (name)
);
