-- What a kind of event adds to the batch summary. This file is applied once for each kind that is on.
{% for field in kind.fields if field not in summary_columns %}
ALTER TABLE user_summary ADD COLUMN `{{ field }}` BIGINT NOT NULL DEFAULT 0;
{% endfor %}
