-- The segment of every user in the latest snapshot, and when that was taken, in UTC.
{% macro of(user, snapshot) %}
SELECT {{ user }}.user_id, {{ user }}.segment, z.name AS segment_name, {{ utc.format(snapshot ~ ".taken_ms") }} AS taken_at
{%- endmacro %}
{{ of("u", "s") }}
FROM snapshots s
JOIN snapshot_users u ON u.snapshot_id = s.snapshot_id
LEFT JOIN segment_sizes z ON z.snapshot_id = s.snapshot_id AND z.segment = u.segment
WHERE s.snapshot_id = (SELECT MAX(snapshot_id) FROM snapshots)
UNION ALL
{{ of("b", "s") }}
FROM snapshots s
JOIN snapshot_users b ON b.snapshot_id = s.base_id
LEFT JOIN segment_sizes z ON z.snapshot_id = s.snapshot_id AND z.segment = b.segment
LEFT JOIN snapshot_users u ON u.snapshot_id = s.snapshot_id AND u.user_id = b.user_id
LEFT JOIN snapshot_removed r ON r.snapshot_id = s.snapshot_id AND r.user_id = b.user_id
WHERE s.snapshot_id = (SELECT MAX(snapshot_id) FROM snapshots) AND u.user_id IS NULL AND r.user_id IS NULL
