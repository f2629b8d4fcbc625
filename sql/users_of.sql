-- The users of an incremental snapshot, as it would hold them if it were whole: its own rows, and those of its base that it
-- has none for. `places` says which of these two. It is one query without a union, so that databases look users up in it.
{% from "snapshot_macros.sql" import cut_now, generation_now with context %}
SELECT
    {{ snapshot_id }} AS snapshot_id, p.user_id, p.part, {% for value in values %}p.`{{ value }}`, {% endfor %}p.segment,
    CASE WHEN p.snapshot_id = {{ snapshot_id }} THEN p.generation ELSE {{ generation_now("p") }} END AS generation
{% for kind in kinds %}
    , CASE WHEN p.snapshot_id = {{ snapshot_id }} THEN p.cut_{{ kind.topic }} ELSE {{ cut_now("p", kind.topic, loop.index) }} END AS cut_{{ kind.topic }}
{% endfor %}
FROM snapshots o
JOIN snapshot_users p ON p.snapshot_id = o.snapshot_id
{% for kind in kinds %}
LEFT JOIN snapshot_cuts c{{ loop.index }} ON c{{ loop.index }}.snapshot_id = {{ snapshot_id }}
    AND c{{ loop.index }}.topic = '{{ kind.topic }}' AND c{{ loop.index }}.part = p.part
{% endfor %}
LEFT JOIN snapshot_users n ON n.snapshot_id = {{ snapshot_id }} AND n.user_id = p.user_id AND p.snapshot_id = {{ base_id }}
LEFT JOIN snapshot_removed r ON r.snapshot_id = {{ snapshot_id }} AND r.user_id = p.user_id
WHERE o.snapshot_id IN ({{ places | join(", ") }}) AND n.user_id IS NULL AND r.user_id IS NULL
