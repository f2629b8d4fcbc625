-- The items that may interest each user, the best first (place 1), as of the latest run of `segmenter recommend --all`.
-- A run is there when its row in recommendation_runs is; rows of any other run are of one that has not ended, or that is
-- being removed. basis is 'segment' or 'popularity', by which lift is NULL.
CREATE TABLE IF NOT EXISTS recommendations (
    run_id INTEGER NOT NULL,
    user_id VARBINARY(512) NOT NULL,
    place INTEGER NOT NULL,
    item_id VARBINARY(512) NOT NULL,
    score DOUBLE NOT NULL,
    segment VARCHAR(128) NOT NULL,
    basis VARCHAR(16) NOT NULL,
    share DOUBLE NOT NULL,
    lift DOUBLE,
    near INTEGER NOT NULL,
    PRIMARY KEY (run_id, user_id, place)
);

CREATE TABLE IF NOT EXISTS recommendation_runs (
    run_id INTEGER NOT NULL,
    snapshot_id INTEGER NOT NULL,
    users BIGINT NOT NULL,
    items BIGINT NOT NULL,
    recommendations BIGINT NOT NULL,
    taken_ms BIGINT NOT NULL,
    PRIMARY KEY (run_id)
);
