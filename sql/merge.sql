-- Adds what fold.sql has found to the batch summary.
DELETE FROM unseen;
INSERT INTO unseen (user_id, what, digest)
SELECT n.user_id, n.what, n.digest
FROM seen_now n
LEFT JOIN user_seen s ON s.part = {{ part }} AND s.user_id = n.user_id AND s.what = n.what AND s.digest = n.digest
WHERE s.user_id IS NULL;
INSERT INTO user_seen (part, user_id, what, digest) SELECT {{ part }}, user_id, what, digest FROM unseen;
DELETE FROM merged;
INSERT INTO merged ({{ every_column }})
SELECT
    a.user_id,
{% for field in fields[:-2] %}
    COALESCE(s.`{{ field }}`, 0) + a.`{{ field }}`,
{% endfor %}
    CASE WHEN s.first_ms < a.first_ms THEN s.first_ms ELSE a.first_ms END,
    CASE WHEN s.last_ms > a.last_ms THEN s.last_ms ELSE a.last_ms END,
{% for _, column, _ in distinct %}
    COALESCE(s.{{ column }}, 0) + COALESCE(n.{{ column }}, 0){{ "," if not loop.last }}
{% endfor %}
FROM added a
LEFT JOIN user_summary s ON s.user_id = a.user_id
LEFT JOIN (
    SELECT user_id
{% for what, column, _ in distinct %}
        , SUM(CASE WHEN what = '{{ what }}' THEN 1 ELSE 0 END) AS {{ column }}
{% endfor %}
    FROM unseen GROUP BY user_id
) n ON n.user_id = a.user_id;
REPLACE INTO user_summary ({{ every_column }}) SELECT {{ every_column }} FROM merged;
