-- What each shard had counted when its offsets were read, as JSON. With the cuts and the users, all that a restore needs.
CREATE TABLE IF NOT EXISTS snapshot_shards (
    snapshot_id INTEGER NOT NULL,
    part INTEGER NOT NULL,
    counts TEXT NOT NULL,
    PRIMARY KEY (snapshot_id, part)
);
