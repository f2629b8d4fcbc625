-- The segment of every user in the latest snapshot, and when that was taken, in UTC. An incremental snapshot holds only the
-- users who are not as in its base.
SELECT p.user_id, p.segment, z.name AS segment_name, {{ utc.format("s.taken_ms") }} AS taken_at
FROM snapshots s
JOIN snapshots o ON o.snapshot_id IN (s.snapshot_id, s.base_id)
JOIN snapshot_users p ON p.snapshot_id = o.snapshot_id
LEFT JOIN segment_sizes z ON z.snapshot_id = s.snapshot_id AND z.segment = p.segment
LEFT JOIN snapshot_users n ON n.snapshot_id = s.snapshot_id AND n.user_id = p.user_id AND p.snapshot_id <> s.snapshot_id
LEFT JOIN snapshot_removed r ON r.snapshot_id = s.snapshot_id AND r.user_id = p.user_id
WHERE s.snapshot_id = (SELECT MAX(snapshot_id) FROM snapshots) AND n.user_id IS NULL AND r.user_id IS NULL
