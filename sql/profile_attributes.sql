-- How many users of each label have each value of an attribute or, without a column, any.
{% from "profile_macros.sql" import label, members with context %}
SELECT {{ label(run) }}{{ ", v.%s" % column if column }}, COUNT(*)
FROM user_attributes v
{{ members(run, "v.user_id") }}
WHERE v.attribute = :attribute
GROUP BY {{ label(run) }}{{ ", v.%s" % column if column }}
