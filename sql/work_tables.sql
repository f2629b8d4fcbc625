-- Tables of one connection, in which the batch summary is worked out. Nothing in them outlives the transaction.
{% macro profile() %}
    {% for field in fields %}
    `{{ field }}` BIGINT NOT NULL,
    {% endfor %}
{% endmacro %}
CREATE TEMPORARY TABLE fresh_ids (
    user_id VARBINARY(512) NOT NULL,
    event_id VARBINARY(512) NOT NULL,
    pos BIGINT NOT NULL,
    PRIMARY KEY (user_id, event_id, pos)
);
CREATE TEMPORARY TABLE repeats (topic VARCHAR(249) NOT NULL, pos BIGINT NOT NULL, PRIMARY KEY (topic, pos));
CREATE TEMPORARY TABLE ids_again (
    user_id VARBINARY(512) NOT NULL, event_id VARBINARY(512) NOT NULL, PRIMARY KEY (user_id, event_id)
);
CREATE TEMPORARY TABLE by_source (
    user_id VARBINARY(512) NOT NULL, topic VARCHAR(249) NOT NULL, {{ profile() }} PRIMARY KEY (user_id, topic)
);
CREATE TEMPORARY TABLE added (user_id VARBINARY(512) NOT NULL, {{ profile() }} PRIMARY KEY (user_id));
CREATE TEMPORARY TABLE seen_now (
    user_id VARBINARY(512) NOT NULL, what CHAR(1) NOT NULL, digest VARBINARY(16) NOT NULL, PRIMARY KEY (user_id, what, digest)
);
CREATE TEMPORARY TABLE unseen (
    user_id VARBINARY(512) NOT NULL, what CHAR(1) NOT NULL, digest VARBINARY(16) NOT NULL, PRIMARY KEY (user_id, what, digest)
);
CREATE TEMPORARY TABLE merged (
    user_id VARBINARY(512) NOT NULL,
    {{ profile() }}
    {% for _, column, _ in distinct %}
    {{ column }} BIGINT NOT NULL,
    {% endfor %}
    PRIMARY KEY (user_id)
);
CREATE TEMPORARY TABLE beyond (user_id VARBINARY(512) NOT NULL, back INTEGER NOT NULL, PRIMARY KEY (user_id));
CREATE TEMPORARY TABLE recomputed (user_id VARBINARY(512) NOT NULL, {{ profile() }} PRIMARY KEY (user_id));
CREATE TEMPORARY TABLE moved (
    user_id VARBINARY(512) NOT NULL, known INTEGER NOT NULL, {{ profile() }} PRIMARY KEY (user_id)
);
