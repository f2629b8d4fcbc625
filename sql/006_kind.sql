-- What a kind of event needs. This file is applied once for each kind that is on.
--
-- The raw events as they stand in the log, keyed by partition and offset (part and pos, since the words partition and
-- offset are reserved). Ids are bytes and are compared byte for byte. Times and durations are milliseconds, amounts are
-- minor units. record_ms is the log's own timestamp.
CREATE TABLE IF NOT EXISTS raw_{{ kind.topic }} (
    part INTEGER NOT NULL,
    pos BIGINT NOT NULL,
    topic_id VARCHAR(64) NOT NULL,
    user_id VARBINARY(512) NOT NULL,
    time_ms BIGINT NOT NULL,
    record_ms BIGINT NOT NULL,
    event_id VARBINARY(512),
    session_id VARBINARY(512),
    device TEXT,
    url TEXT,
    referrer TEXT,
    duration_ms BIGINT,
    item_id VARBINARY(512),
    query TEXT,
    properties TEXT,
{% if kind.measure == "amount" %}
    amount BIGINT,
{% endif %}
    PRIMARY KEY (part, pos)
);

{% if kind.measure == "amount" and raw_columns and "amount" not in raw_columns %}
ALTER TABLE raw_{{ kind.topic }} ADD COLUMN amount BIGINT;
{% endif %}

-- In a snapshot, a user has the fields of the profile, the features, and the cut, which says which events of the topic
-- are in the row, all below and none from there on. Rows of older snapshots have none of these events.
{% for field in kind.fields if field not in columns %}
ALTER TABLE snapshot_users ADD COLUMN `{{ field }}` BIGINT NOT NULL DEFAULT 0;
{% endfor %}
{% for feature in kind.features %}
{% if feature.name not in columns %}
ALTER TABLE snapshot_users ADD COLUMN {{ feature.name }} {{ "DOUBLE" if feature.denominator else "BIGINT NOT NULL DEFAULT 0" }};
{% endif %}
{% if not feature.denominator and feature.numerator in columns %}
UPDATE snapshot_users SET {{ feature.name }} = `{{ feature.numerator }}` WHERE {{ feature.name }} <> `{{ feature.numerator }}`;
{% endif %}
{% endfor %}
{% if "cut_" ~ kind.topic not in columns %}
ALTER TABLE snapshot_users ADD COLUMN cut_{{ kind.topic }} BIGINT NOT NULL DEFAULT 0;
{% endif %}
