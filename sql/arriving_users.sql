-- The users of a snapshot, until it is known who has changed.
CREATE TEMPORARY TABLE arriving_users (
    user_id VARBINARY(512) NOT NULL,
    part INTEGER NOT NULL,
{% for field in fields %}
    `{{ field }}` BIGINT NOT NULL,
{% endfor %}
{% for feature in features %}
    `{{ feature.name }}` {{ "DOUBLE" if feature.denominator else "BIGINT NOT NULL" }},
{% endfor %}
    segment VARCHAR(128) NOT NULL,
    generation INTEGER NOT NULL,
{% for cut in cut_columns %}
    {{ cut }} BIGINT NOT NULL,
{% endfor %}
    PRIMARY KEY (user_id)
)
