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

-- One row a user, as the stream computed it. The cuts say which events of each topic are in it,
-- all below and none from there on.
CREATE TABLE IF NOT EXISTS snapshot_users (
    snapshot_id INTEGER NOT NULL,
    user_id VARBINARY(512) NOT NULL,
    part INTEGER NOT NULL,
    clicks BIGINT NOT NULL,
    clicks_timed BIGINT NOT NULL,
    click_ms BIGINT NOT NULL,
    searches BIGINT NOT NULL,
    views BIGINT NOT NULL,
    views_timed BIGINT NOT NULL,
    view_ms BIGINT NOT NULL,
    first_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    total_clicks BIGINT NOT NULL,
    total_searches BIGINT NOT NULL,
    mean_click_ms DOUBLE,
    mean_view_ms DOUBLE,
    segment VARCHAR(128) NOT NULL,
    generation INTEGER NOT NULL,
    cut_clickstream BIGINT NOT NULL,
    cut_searches BIGINT NOT NULL,
    cut_views BIGINT NOT NULL,
    PRIMARY KEY (snapshot_id, user_id)
);

-- The model that was current when a snapshot was taken, as JSON.
CREATE TABLE IF NOT EXISTS generations (
    snapshot_id INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (snapshot_id, generation)
);
