-- How many users each segment had in the last snapshot of each day of UTC.
SELECT DATE({{ utc.format("z.taken_ms") }}) AS day, z.segment, z.name AS segment_name, z.users
FROM segment_sizes z
JOIN (
    SELECT MAX(snapshot_id) AS snapshot_id FROM segment_sizes GROUP BY taken_ms - taken_ms % 86400000
) last ON last.snapshot_id = z.snapshot_id
