-- What the stream held at one moment. A snapshot is there when its row in snapshots is.
CREATE TABLE IF NOT EXISTS snapshots (
    snapshot_id INTEGER NOT NULL,
    taken_ms BIGINT NOT NULL,
    generation INTEGER NOT NULL,
    users BIGINT NOT NULL,
    PRIMARY KEY (snapshot_id)
);

-- The next offset of each shard, read before the rows. All events below it are in the rows.
CREATE TABLE IF NOT EXISTS snapshot_cuts (
    snapshot_id INTEGER NOT NULL,
    topic VARCHAR(249) NOT NULL,
    part INTEGER NOT NULL,
    topic_id VARCHAR(64),
    next_pos BIGINT NOT NULL,
    PRIMARY KEY (snapshot_id, topic, part)
);

-- One row a user, as the stream computed it. Each kind of event adds its columns.
CREATE TABLE IF NOT EXISTS snapshot_users (
    snapshot_id INTEGER NOT NULL,
    user_id VARBINARY(512) NOT NULL,
    part INTEGER NOT NULL,
    first_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    segment VARCHAR(128) NOT NULL,
    generation INTEGER NOT NULL,
    PRIMARY KEY (snapshot_id, user_id)
);

-- The model that was current when a snapshot was taken, as JSON.
CREATE TABLE IF NOT EXISTS generations (
    snapshot_id INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (snapshot_id, generation)
);
