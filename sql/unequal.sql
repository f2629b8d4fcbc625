-- The users who are not the same in a snapshot and in the batch: what the snapshot has of each, then whether the batch
-- knows the user, and its profile. Users whose ratios may differ only by how they are rounded are among them.
{% macro batch(field) %}
{{ "CASE WHEN m.user_id IS NULL THEN s.`%s` ELSE m.`%s` END" % (field, field) if moved else "s.`%s`" % field }}
{%- endmacro %}
{% set known = "CASE WHEN m.user_id IS NULL THEN s.user_id IS NOT NULL ELSE m.known END" if moved else "s.user_id IS NOT NULL" %}
{% set columns %}
    {% for field in fields %}, u.`{{ field }}`{% endfor %}
    {% for feature in features %}, u.`{{ feature.name }}`{% endfor %}
    , {{ known }}
    {% for field in fields %}, {{ batch(field) }}{% endfor %}
{% endset %}
SELECT u.user_id, 1 {{ columns }}
FROM {{ users }} u
LEFT JOIN {{ base }} s ON s.user_id = u.user_id
{% if moved %}
LEFT JOIN moved m ON m.user_id = u.user_id
{% endif %}
WHERE u.snapshot_id = {{ snapshot_id }} AND (
    NOT ({{ known }})
{% for field in fields %}
    OR u.`{{ field }}` <> {{ batch(field) }}
{% endfor %}
{% for feature in features %}
    {% if feature.denominator %}
    OR CASE WHEN {{ batch(feature.denominator) }} = 0 THEN u.`{{ feature.name }}` IS NOT NULL
        WHEN u.`{{ feature.name }}` IS NULL OR {{ batch(feature.numerator) }} > {{ exact }} OR {{ batch(feature.numerator) }} < -{{ exact }} THEN 1 = 1
        ELSE u.`{{ feature.name }}` <> CAST({{ batch(feature.numerator) }} AS DOUBLE) / {{ batch(feature.denominator) }} END
    {% else %}
    OR u.`{{ feature.name }}` <> {{ batch(feature.numerator) }}
    {% endif %}
{% endfor %}
);
SELECT s.user_id, 0 {{ columns }}
FROM {{ base }} s
LEFT JOIN {{ users }} u ON u.snapshot_id = {{ snapshot_id }} AND u.user_id = s.user_id
{% if moved %}
LEFT JOIN moved m ON m.user_id = s.user_id
{% endif %}
WHERE u.user_id IS NULL{{ " AND m.user_id IS NULL" if moved }};
{% if moved %}
SELECT m.user_id, 0 {{ columns }}
FROM moved m
LEFT JOIN {{ users }} u ON u.snapshot_id = {{ snapshot_id }} AND u.user_id = m.user_id
LEFT JOIN {{ base }} s ON s.user_id = m.user_id
WHERE u.user_id IS NULL AND m.known = 1;
{% endif %}
