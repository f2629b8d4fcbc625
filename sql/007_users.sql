-- What is known of users beside their events: one row a user and attribute, with the value in the column of its type.
-- category is text without blanks around it, day is YYYY-MM-DD. as_of_ms is when the value held, in ms since 1970.
CREATE TABLE IF NOT EXISTS user_attributes (
    user_id VARBINARY(512) NOT NULL,
    attribute VARCHAR(64) NOT NULL,
    as_of_ms BIGINT NOT NULL,
    category VARCHAR(512),
    number DOUBLE,
    day VARCHAR(10),
    PRIMARY KEY (user_id, attribute)
);

-- The attributes that users have, each of one type: category, number or date. A category with a separator lists several.
-- For these there is users, made by users.sql: one row a user, one column an attribute.
CREATE TABLE IF NOT EXISTS attributes (
    attribute VARCHAR(64) NOT NULL,
    type VARCHAR(16) NOT NULL,
    list_separator VARCHAR(1),
    PRIMARY KEY (attribute)
);
