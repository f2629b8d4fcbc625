-- How many users of each label have each of the most common values of an attribute that has one value a user.
{% from "profile_macros.sql" import label, members, most_common with context %}
{% call most_common() %}
SELECT {{ label(run) }} AS label, v.user_id, {{ digest.format("v.category") }} AS digest, v.category AS value
FROM user_attributes v
{{ members(run, "v.user_id") }}
WHERE v.attribute = :attribute AND v.category IS NOT NULL
{% endcall %}
