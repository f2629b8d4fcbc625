-- The batch summary. The aggregates of each user, from the raw events alone, up to the cuts of one snapshot.
-- Number 0, which no snapshot has, stands for all that the sink has loaded.
--
-- A user's events count up to the user's own cut, or up to the shard's for a user without a row. A repeat of
-- an event id of the same user, at most duplicate_window offsets after the one before it in its partition,
-- does not count. Each source is aggregated by itself first. Joining raw tables would multiply their rows.
{% from "snapshot_macros.sql" import cut_of, row_of %}
{% set measures = {"duration": "duration_ms", "amount": "amount"} %}
WITH cuts AS (
    SELECT topic, part, next_pos FROM snapshot_cuts WHERE snapshot_id = :snapshot_id
    UNION ALL
    SELECT topic, part, next_pos FROM sink_offsets WHERE :snapshot_id = 0
),
{% for kind in kinds %}
of_{{ kind.topic }} AS (
    SELECT
        e.user_id, e.time_ms, e.event_id, {{ "e." ~ measures[kind.measure] if kind.measure in measures else "NULL" }} AS measure,
        e.pos - LAG(e.pos) OVER (PARTITION BY e.part, e.user_id, e.event_id ORDER BY e.pos) AS distance
    FROM raw_{{ kind.topic }} e
    JOIN cuts c ON c.topic = '{{ kind.topic }}' AND c.part = e.part
    {{ row_of("e.user_id", ":snapshot_id", base_id) }}
    WHERE e.pos < {{ cut_of(kind.topic, "c.next_pos", base_id) }}
),
{% endfor %}
by_source AS (
{% for kind in kinds %}
    {{ "UNION ALL" if not loop.first }}
    SELECT
        user_id,
    {% for each in kinds %}
        {% for field in each.fields %}
        {{ ("COUNT(*)", "COUNT(measure)", "COALESCE(SUM(measure), 0)")[loop.index0] if each == kind else 0 }} AS `{{ field }}`,
        {% endfor %}
    {% endfor %}
        MIN(time_ms) AS first_ms, MAX(time_ms) AS last_ms
    FROM of_{{ kind.topic }}
    WHERE event_id IS NULL OR distance IS NULL OR distance > :duplicate_window
    GROUP BY user_id
{% endfor %}
)
SELECT
    user_id,
{% for kind in kinds %}
    {% for field in kind.fields %}
    SUM(`{{ field }}`) AS `{{ field }}`,
    {% endfor %}
{% endfor %}
    MIN(first_ms) AS first_ms, MAX(last_ms) AS last_ms
FROM by_source
GROUP BY user_id
