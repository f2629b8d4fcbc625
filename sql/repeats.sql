-- Which raw events of one shard, in a range of offsets of each topic, repeat an event id of the same user, at most
-- duplicate_window offsets after the one before it. Those do not count. What is before the range is looked through once,
-- in the order in which it is stored: CROSS JOIN keeps SQLite from beginning with fresh_ids. No statement names a temporary table twice: MySQL does not allow it.
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
INSERT INTO repeats (topic, pos)
SELECT DISTINCT '{{ kind.topic }}', f.pos
FROM raw_{{ kind.topic }} e
CROSS JOIN fresh_ids f ON f.user_id = e.user_id AND f.event_id = e.event_id
WHERE e.part = {{ part }} AND e.pos >= {{ low - duplicate_window }} AND e.pos < {{ high }}
    AND e.pos < f.pos AND e.pos >= f.pos - {{ duplicate_window }};
{% endfor %}
