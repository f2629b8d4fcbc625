-- What analysts read. Made anew for each kind of event, since kinds have columns in it.
{% set query %}
{% include "user_activity_summary.sql" %}
{% endset %}
{% for statement in new_view %}
{{ statement.format(name="user_activity_summary", query=query) }};
{% endfor %}
