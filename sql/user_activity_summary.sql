-- The batch summary as analysts read it, by this name: one row a user, also of those who did only one kind of thing. Times
-- are in seconds, rounded to two decimals; a mean over nothing is NULL; amounts are minor units; days are days of UTC.
--
-- Each source has been aggregated by itself before (fold.sql). Joining the sources first, and aggregating then, would count
-- each event of one as often as the user has events in the others.
{% macro rounded(number, by) %}
ROUND((200 * ({{ number }}) + {{ by }} - (200 * ({{ number }}) + {{ by }}) % (2 * {{ by }})) / (2 * {{ by }}) / 100.0, 2)
{%- endmacro %}
SELECT
    user_id,
{% for kind in kinds %}
    `{{ kind.plural }}` AS {{ kind.summary_columns[0] }},
    {% if kind.measure == "duration" %}
    CASE WHEN {{ kind.fields[1] }} > 0 THEN {{ rounded(kind.fields[2], "(1000 * %s)" % kind.fields[1]) }} END
        AS {{ kind.summary_columns[1] }},
    {% elif kind.measure == "amount" %}
    {{ kind.fields[2] }} AS {{ kind.features[1].name }},
    {% endif %}
{% endfor %}
    distinct_pages,
    distinct_queries,
    distinct_days AS active_days,
    distinct_sessions AS sessions,
    {{ rounded("`%s`" % (kinds | map(attribute="plural") | join("` + `")), "distinct_days") }} AS events_per_active_day,
    {{ utc.format("first_ms") }} AS first_activity,
    {{ utc.format("last_ms") }} AS last_activity,
    CAST(({{ now_ms }} - last_ms - ({{ now_ms }} - last_ms) % 86400000) / 86400000 AS SIGNED INTEGER)
        AS days_since_last_activity
FROM user_summary
