-- How many raw events each label has in each quarter of an hour since 1970 that has any, up to the snapshot's cuts.
{% from "profile_macros.sql" import label, members with context %}
SELECT label, quarter_ms, SUM(events)
FROM (
{% for kind in kinds %}
    {{ "UNION ALL" if not loop.first }}
    SELECT {{ label(run) }} AS label, e.time_ms - e.time_ms % 900000 AS quarter_ms, COUNT(*) AS events
    FROM raw_{{ kind.topic }} e
    {{ members(run, "e.user_id") }}
    WHERE e.pos < u.cut_{{ kind.topic }}
    GROUP BY {{ label(run) }}, e.time_ms - e.time_ms % 900000
{% endfor %}
) counted
GROUP BY label, quarter_ms
