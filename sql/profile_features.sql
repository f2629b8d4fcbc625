-- The label and some features of each user.
{% from "profile_macros.sql" import label, members with context %}
SELECT {{ label(run) }}{% for feature in features %}, u.`{{ feature.name }}`{% endfor %}

FROM {{ users }} u
{% if run %}
JOIN cluster_members m ON m.run_id = :run_id AND m.user_id = u.user_id
{% endif %}
WHERE u.snapshot_id = :snapshot_id
