-- The row of a user in a snapshot. An incremental one, which has a base, holds only those of users who have changed.
{% macro row_of(user, snapshot_id, base_id) %}
LEFT JOIN snapshot_users u ON u.snapshot_id = {{ snapshot_id }} AND u.user_id = {{ user }}
{% if base_id %}
LEFT JOIN snapshot_users b ON b.snapshot_id = {{ base_id }} AND b.user_id = {{ user }}
LEFT JOIN snapshot_removed x ON x.snapshot_id = {{ snapshot_id }} AND x.user_id = {{ user }}
{% endif %}
{% endmacro %}

-- How far the row goes in a topic: at least as far as the shard, which is what holds of users without a row, too.
{% macro cut_of(topic, shard_cut, base_id) %}
COALESCE(u.cut_{{ topic }}, {% if base_id %}CASE WHEN x.user_id IS NULL AND b.cut_{{ topic }} > {{ shard_cut }} THEN b.cut_{{ topic }} END, {% endif %}{{ shard_cut }})
{%- endmacro %}

-- What an incremental snapshot has of a user whose row is in its base only. The events did not change, so a cut is the
-- shard's unless the row went further; and who had been judged by the base's generation has been by the present one.
{% macro generation_now(row) %}
CASE WHEN {{ row }}.generation = {{ base_generation }} THEN {{ generation }} ELSE {{ row }}.generation END
{%- endmacro %}
{% macro cut_now(row, topic, number) %}
CASE WHEN c{{ number }}.next_pos > {{ row }}.cut_{{ topic }} THEN c{{ number }}.next_pos ELSE {{ row }}.cut_{{ topic }} END
{%- endmacro %}
