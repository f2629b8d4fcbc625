-- What analysts read. Made anew for each kind of event, since kinds have columns in it.
{% include "user_activity_summary.sql" %}
