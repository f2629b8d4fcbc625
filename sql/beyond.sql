-- The users of one shard of whom the batch summary does not stand where their rows in a snapshot do, and whether it has
-- gone further (back), so that it cannot just be added to. A user without a row counts up to the shard's cut.
DELETE FROM beyond;
INSERT INTO beyond (user_id, back)
SELECT user_id, MAX(back)
FROM (
{% for topic, (cut, at, furthest) in places.items() %}
    {{ "UNION ALL" if not loop.first }}
    SELECT e.user_id, CASE WHEN e.pos < {{ at }} THEN 1 ELSE 0 END AS back
    FROM raw_{{ topic }} e
    LEFT JOIN snapshot_users u ON u.snapshot_id = {{ snapshot_id }} AND u.user_id = e.user_id
    WHERE e.part = {{ part }} AND e.pos >= {{ cut }} AND e.pos < {{ furthest }}
        AND CASE WHEN e.pos < {{ at }} THEN e.pos >= COALESCE(u.cut_{{ topic }}, {{ cut }})
            ELSE e.pos < COALESCE(u.cut_{{ topic }}, {{ cut }}) END
{% endfor %}
) found
GROUP BY user_id
