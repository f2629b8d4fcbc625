-- The users of one shard of whom the batch summary does not stand where their rows in a snapshot do, and whether it has
-- gone further (back), so that it cannot just be added to. A user without a row counts up to the shard's cut.
{% from "snapshot_macros.sql" import cut_of, row_of %}
DELETE FROM beyond;
INSERT INTO beyond (user_id, back)
SELECT user_id, MAX(back)
FROM (
{% for topic, (cut, at, furthest) in places.items() %}
    {{ "UNION ALL" if not loop.first }}
    SELECT e.user_id, CASE WHEN e.pos < {{ at }} THEN 1 ELSE 0 END AS back
    FROM raw_{{ topic }} e
    {{ row_of("e.user_id", snapshot_id, base_id) }}
    WHERE e.part = {{ part }} AND e.pos >= {{ cut }} AND e.pos < {{ furthest }}
        AND CASE WHEN e.pos < {{ at }} THEN e.pos >= {{ cut_of(topic, cut, base_id) }}
            ELSE e.pos < {{ cut_of(topic, cut, base_id) }} END
{% endfor %}
) found
GROUP BY user_id
