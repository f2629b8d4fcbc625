-- How many raw events of each shard lie below the cuts of one snapshot, and how many of these are duplicates.
--
-- The rule is that of summary.sql, and so is the number 0. The users' own cuts do not matter: a shard has counted what
-- is below its offsets.
WITH cuts AS (
    SELECT topic, part, next_pos FROM snapshot_cuts WHERE snapshot_id = :snapshot_id
    UNION ALL
    SELECT topic, part, next_pos FROM sink_offsets WHERE :snapshot_id = 0
),
events AS (
{% for kind in kinds %}
    {{ "UNION ALL" if not loop.first }}
    SELECT
        e.part, e.event_id,
        e.pos - LAG(e.pos) OVER (PARTITION BY e.part, e.user_id, e.event_id ORDER BY e.pos) AS distance
    FROM raw_{{ kind.topic }} e
    JOIN cuts c ON c.topic = '{{ kind.topic }}' AND c.part = e.part
    WHERE e.pos < c.next_pos
{% endfor %}
)
SELECT
    part,
    COUNT(*) AS events,
    SUM(CASE WHEN event_id IS NOT NULL AND distance <= :duplicate_window THEN 1 ELSE 0 END) AS duplicates
FROM events
GROUP BY part
