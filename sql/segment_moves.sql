-- The moves of users between segments, as snapshots have found them in the change feed: when, in UTC, and why, which is
-- behaviour (the user's events), model (a new generation) or repair (the row was wrong).
SELECT DATE({{ utc.format("at_ms") }}) AS day, {{ utc.format("at_ms") }} AS moved_at, user_id, from_segment, to_segment,
    cause, generation
FROM segment_changes
WHERE from_segment <> '' AND to_segment <> ''
