-- The profiles of the users in `beyond`, up to where their rows in the snapshot go. `added` has what the summary lacks,
-- or all of it, of those who are summed up from the first event on (back).
INSERT INTO moved (user_id, known{% for field in fields %}, `{{ field }}`{% endfor %})
SELECT
    w.user_id,
    CASE WHEN a.user_id IS NOT NULL{{ " OR s.user_id IS NOT NULL" if not back }} THEN 1 ELSE 0 END,
{% for field in fields[:-2] %}
    COALESCE(a.`{{ field }}`, 0){{ " + COALESCE(s.`%s`, 0)" % field if not back }},
{% endfor %}
{% if back %}
    COALESCE(a.first_ms, 0), COALESCE(a.last_ms, 0)
{% else %}
    COALESCE(CASE WHEN s.first_ms < a.first_ms THEN s.first_ms ELSE a.first_ms END, s.first_ms, 0),
    COALESCE(CASE WHEN s.last_ms > a.last_ms THEN s.last_ms ELSE a.last_ms END, s.last_ms, 0)
{% endif %}
FROM beyond w
LEFT JOIN added a ON a.user_id = w.user_id
{% if not back %}
LEFT JOIN user_summary s ON s.user_id = w.user_id
{% endif %}
WHERE w.back = {{ back }}
