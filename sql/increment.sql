-- Of the users of a snapshot, which have arrived in a temporary table: those who are not as they would be without a row,
-- and the base's users who are gone.
{% from "snapshot_macros.sql" import cut_now, generation_now with context %}
{% set every = ["user_id", "part"] + values + ["segment", "generation"] + cut_columns %}
INSERT INTO snapshot_users (snapshot_id{% for name in every %}, `{{ name }}`{% endfor %})
SELECT {{ snapshot_id }}{% for name in every %}, a.`{{ name }}`{% endfor %}

FROM arriving_users a
LEFT JOIN snapshot_users b ON b.snapshot_id = {{ base_id }} AND b.user_id = a.user_id
{% for kind in kinds %}
LEFT JOIN snapshot_cuts c{{ loop.index }} ON c{{ loop.index }}.snapshot_id = {{ snapshot_id }}
    AND c{{ loop.index }}.topic = '{{ kind.topic }}' AND c{{ loop.index }}.part = a.part
{% endfor %}
WHERE b.user_id IS NULL
{% for name in ["part"] + values + ["segment"] %}
    OR NOT ({{ same.format("b.`%s`" % name, "a.`%s`" % name) }})
{% endfor %}
    OR a.generation <> {{ generation_now("b") }}
{% for kind in kinds %}
    OR a.cut_{{ kind.topic }} <> {{ cut_now("b", kind.topic, loop.index) }}
{% endfor %};
INSERT INTO snapshot_removed (snapshot_id, user_id)
SELECT {{ snapshot_id }}, b.user_id
FROM snapshot_users b
LEFT JOIN arriving_users a ON a.user_id = b.user_id
WHERE b.snapshot_id = {{ base_id }} AND a.user_id IS NULL
