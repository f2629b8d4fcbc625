-- Other clusterings of the users of a snapshot. A run is there when its row in cluster_runs is, and stays when the snapshot
-- is removed. Parameters are JSON; a score that does not exist is NULL.
CREATE TABLE IF NOT EXISTS cluster_runs (
    run_id INTEGER NOT NULL,
    snapshot_id INTEGER NOT NULL,
    algorithm VARCHAR(32) NOT NULL,
    parameters TEXT NOT NULL,
    k INTEGER NOT NULL,
    users BIGINT NOT NULL,
    noise BIGINT NOT NULL,
    silhouette DOUBLE,
    davies_bouldin DOUBLE,
    calinski_harabasz DOUBLE,
    rand_live DOUBLE,
    taken_ms BIGINT NOT NULL,
    PRIMARY KEY (run_id)
);

-- The cluster of each user of a run, by name; the users who are in none have 'noise'.
CREATE TABLE IF NOT EXISTS cluster_members (
    run_id INTEGER NOT NULL,
    user_id VARBINARY(512) NOT NULL,
    cluster VARCHAR(128) NOT NULL,
    PRIMARY KEY (run_id, user_id)
);
