-- Which raw events of one shard, in a range of offsets of each topic, repeat an event id of the same user, at most
-- duplicate_window offsets after the one before it. Those do not count. What is before the range is looked through in the
-- order in which it is stored; only events with an id that comes again are sorted, so an id that comes all the time costs
-- no more than others. No statement names a temporary table twice: MySQL does not allow it.
DELETE FROM repeats;
{% for kind in kinds if kind.topic in ranges %}
{% set low, high = ranges[kind.topic] %}
DELETE FROM fresh_ids;
INSERT INTO fresh_ids (user_id, event_id, pos)
SELECT e.user_id, e.event_id, e.pos
FROM raw_{{ kind.topic }} e
{% if back %}
JOIN beyond w ON w.user_id = e.user_id AND w.back = 1
{% endif %}
WHERE e.part = {{ part }} AND e.pos >= {{ low }} AND e.pos < {{ high }} AND e.event_id IS NOT NULL;
DELETE FROM ids_again;
REPLACE INTO ids_again (user_id, event_id)
SELECT user_id, event_id FROM fresh_ids GROUP BY user_id, event_id HAVING COUNT(*) > 1;
REPLACE INTO ids_again (user_id, event_id)
SELECT e.user_id, e.event_id
FROM raw_{{ kind.topic }} e
WHERE e.part = {{ part }} AND e.pos >= {{ low - duplicate_window }} AND e.pos < {{ low }} AND e.event_id IS NOT NULL
    AND EXISTS (SELECT 1 FROM fresh_ids f WHERE f.user_id = e.user_id AND f.event_id = e.event_id);
INSERT INTO repeats (topic, pos)
SELECT '{{ kind.topic }}', pos
FROM (
    SELECT
        e.pos,
        e.pos - LAG(e.pos) OVER (PARTITION BY e.user_id, e.event_id ORDER BY e.pos) AS distance
    FROM raw_{{ kind.topic }} e
    CROSS JOIN ids_again a ON a.user_id = e.user_id AND a.event_id = e.event_id
    WHERE e.part = {{ part }} AND e.pos >= {{ low - duplicate_window }} AND e.pos < {{ high }}
) n
WHERE pos >= {{ low }} AND distance <= {{ duplicate_window }};
{% endfor %}
