-- How many users of each label have each of the most common values of one field of their events, up to the snapshot's
-- cuts. A repeated event changes nothing, since users are counted. The first 512 characters of a value are kept.
{% from "profile_macros.sql" import label, members, most_common with context %}
{% call most_common() %}
{% for kind in kinds %}
{{ "UNION ALL" if not loop.first }}
SELECT {{ label(run) }} AS label, e.user_id, {{ digest.format(value) }} AS digest, MIN(SUBSTR({{ value }}, 1, 512)) AS value
FROM raw_{{ kind.topic }} e
{{ members(run, "e.user_id") }}
WHERE e.pos < u.cut_{{ kind.topic }} AND {{ value }} IS NOT NULL
GROUP BY {{ label(run) }}, e.user_id, {{ digest.format(value) }}
{% endfor %}
{% endcall %}
