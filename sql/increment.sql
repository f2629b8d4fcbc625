-- Of the users of a snapshot, which have arrived in a temporary table: those who are not as they would be without a row,
-- and the base's users who are gone.
{% set every = ["user_id", "part"] + values + ["segment", "generation"] + cut_columns %}
INSERT INTO snapshot_users (snapshot_id{% for name in every %}, `{{ name }}`{% endfor %})
SELECT {{ snapshot_id }}{% for name in every %}, a.`{{ name }}`{% endfor %}

FROM arriving_users a
LEFT JOIN (
{% include "unchanged.sql" %}
) u ON u.user_id = a.user_id
WHERE u.user_id IS NULL
{% for name in every[1:] %}
    OR NOT ({{ same.format("u.`%s`" % name, "a.`%s`" % name) }})
{% endfor %};
INSERT INTO snapshot_removed (snapshot_id, user_id)
SELECT {{ snapshot_id }}, b.user_id
FROM snapshot_users b
LEFT JOIN arriving_users a ON a.user_id = b.user_id
WHERE b.snapshot_id = {{ base_id }} AND a.user_id IS NULL
