-- What a range of raw events of one shard adds to each of its users. Each source is aggregated by itself first: joining
-- raw tables would multiply their rows. Repeats, which repeats.sql has found, do not count.
--
-- With a snapshot, only users that beyond.sql has found, and only up to where their rows in the snapshot go.
{% from "snapshot_macros.sql" import cut_of, row_of %}
{% set measures = {"duration": "duration_ms", "amount": "amount"} %}
{% macro counted(kind) %}
    FROM raw_{{ kind.topic }} e
    {% if snapshot_id %}
    JOIN beyond w ON w.user_id = e.user_id AND w.back = {{ back }}
    {{ row_of("e.user_id", snapshot_id, base_id) }}
    {% endif %}
    LEFT JOIN repeats r ON r.topic = '{{ kind.topic }}' AND r.pos = e.pos
    WHERE e.part = {{ part }} AND e.pos >= {{ ranges[kind.topic][0] }} AND e.pos < {{ ranges[kind.topic][1] }}
        AND r.pos IS NULL
    {% if snapshot_id %}
        AND e.pos < {{ cut_of(kind.topic, cuts[kind.topic], base_id) }}
    {% endif %}
{% endmacro %}
DELETE FROM by_source;
{% for kind in kinds if kind.topic in ranges %}
{% set measure = "e." ~ measures[kind.measure] if kind.measure in measures else "NULL" %}
INSERT INTO by_source (user_id, topic{% for field in fields %}, `{{ field }}`{% endfor %})
SELECT
    e.user_id, '{{ kind.topic }}',
    {% for each in kinds %}
        {% for field in each.fields %}
    {{ ("COUNT(*)", "COUNT(%s)" % measure, "COALESCE(SUM(%s), 0)" % measure)[loop.index0] if each == kind else 0 }},
        {% endfor %}
    {% endfor %}
    MIN(e.time_ms), MAX(e.time_ms)
{{ counted(kind) }}
GROUP BY e.user_id;
{% endfor %}
DELETE FROM added;
INSERT INTO added (user_id{% for field in fields %}, `{{ field }}`{% endfor %})
SELECT
    user_id,
{% for field in fields[:-2] %}
    SUM(`{{ field }}`),
{% endfor %}
    MIN(first_ms), MAX(last_ms)
FROM by_source
GROUP BY user_id;
{% if not snapshot_id %}
DELETE FROM seen_now;
{% for kind in kinds if kind.topic in ranges %}
    {% for what, _, value in distinct %}
REPLACE INTO seen_now (user_id, what, digest)
SELECT e.user_id, '{{ what }}', {{ digest.format(value) }}
{{ counted(kind) }} AND {{ value }} IS NOT NULL;
    {% endfor %}
{% endfor %}
{% endif %}
