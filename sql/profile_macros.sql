-- What the profiles of segments share. A label is the segment of a user in a snapshot, or the cluster in a run.
{% macro label(run) %}
{{ "m.cluster" if run else "u.segment" }}
{%- endmacro %}

{% macro members(run, user) %}
JOIN {{ users }} u ON u.snapshot_id = :snapshot_id AND u.user_id = {{ user }}
{% if run %}
JOIN cluster_members m ON m.run_id = :run_id AND m.user_id = u.user_id
{% endif %}
{% endmacro %}

-- Of (label, user_id, digest, value): how many users of each label have each value that is among the most common ones of
-- some label. Values are told apart by their digests, since collations take some texts for the same.
{% macro most_common() %}
SELECT label, digest, value, users
FROM (
    SELECT label, digest, value, users, MIN(place) OVER (PARTITION BY digest) AS best
    FROM (
        SELECT label, digest, value, users, ROW_NUMBER() OVER (PARTITION BY label ORDER BY users DESC, digest) AS place
        FROM (
            SELECT label, digest, MIN(value) AS value, COUNT(DISTINCT user_id) AS users
            FROM (
                {{ caller() }}
            ) having_it
            GROUP BY label, digest
        ) counted
    ) placed
) ranked
WHERE best <= :most
{% endmacro %}
