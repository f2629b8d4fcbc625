-- The users of an incremental snapshot who are in its base only, as the snapshot has them. Their events did not change, so
-- a cut is the shard's unless their rows went further; and who had been judged by the base's model has been by the present.
SELECT
    s.snapshot_id, b.user_id, b.part, {% for value in values %}b.`{{ value }}`, {% endfor %}b.segment,
    CASE WHEN b.generation = o.generation THEN s.generation ELSE b.generation END AS generation
{% for kind in kinds %}
    , CASE WHEN c{{ loop.index }}.next_pos > b.cut_{{ kind.topic }} THEN c{{ loop.index }}.next_pos ELSE b.cut_{{ kind.topic }} END AS cut_{{ kind.topic }}
{% endfor %}
FROM snapshots s
JOIN snapshots o ON o.snapshot_id = s.base_id
JOIN snapshot_users b ON b.snapshot_id = s.base_id
{% for kind in kinds %}
LEFT JOIN snapshot_cuts c{{ loop.index }} ON c{{ loop.index }}.snapshot_id = s.snapshot_id
    AND c{{ loop.index }}.topic = '{{ kind.topic }}' AND c{{ loop.index }}.part = b.part
{% endfor %}
LEFT JOIN snapshot_users n ON n.snapshot_id = s.snapshot_id AND n.user_id = b.user_id
LEFT JOIN snapshot_removed r ON r.snapshot_id = s.snapshot_id AND r.user_id = b.user_id
WHERE s.snapshot_id = {{ snapshot_id }} AND n.user_id IS NULL AND r.user_id IS NULL
