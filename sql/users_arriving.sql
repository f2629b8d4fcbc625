-- The values of a file while it is read, and of these the last of each user and attribute. They last as long as the
-- connection, and nobody else sees them. Categories are bytes here: of these, the greatest is the same everywhere.
-- line is 0 if the file says when its values held.
CREATE TEMPORARY TABLE IF NOT EXISTS arriving_values (
    user_id VARBINARY(512) NOT NULL,
    attribute VARCHAR(64) NOT NULL,
    as_of_ms BIGINT NOT NULL,
    line BIGINT NOT NULL,
    category VARBINARY(2048),
    number DOUBLE,
    day VARCHAR(10)
);

CREATE TEMPORARY TABLE IF NOT EXISTS last_values (
    user_id VARBINARY(512) NOT NULL,
    attribute VARCHAR(64) NOT NULL,
    as_of_ms BIGINT NOT NULL,
    category VARCHAR(512),
    number DOUBLE,
    day VARCHAR(10),
    PRIMARY KEY (user_id, attribute)
);

DELETE FROM arriving_values;

DELETE FROM last_values;
