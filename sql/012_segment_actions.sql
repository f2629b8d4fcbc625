-- What to do with the users of a segment, in the words of those who do it. A segment without a row has a default.
CREATE TABLE IF NOT EXISTS segment_actions (
    slug VARCHAR(128) NOT NULL,
    action TEXT NOT NULL,
    PRIMARY KEY (slug)
);
