-- Offsets of each partition that the sink did not load, since the log no longer held them: first_pos to before end_pos.
CREATE TABLE IF NOT EXISTS sink_gaps (
    topic VARCHAR(249) NOT NULL,
    part INTEGER NOT NULL,
    first_pos BIGINT NOT NULL,
    end_pos BIGINT NOT NULL,
    recorded_ms BIGINT NOT NULL,
    PRIMARY KEY (topic, part, first_pos)
);

-- The sink of 0.1.0 recorded no gap when it began above offset 0. What is before its first event may be one; the sink
-- makes it empty if the log still begins at 0.
{% if topics_of_0_1_0 %}
INSERT INTO sink_gaps (topic, part, first_pos, end_pos, recorded_ms)
SELECT o.topic, o.part, 0, COALESCE(r.pos, o.next_pos), 0
FROM sink_offsets o
LEFT JOIN (
{% for topic in topics_of_0_1_0 %}
    SELECT '{{ topic }}' AS topic, part, MIN(pos) AS pos FROM raw_{{ topic }} GROUP BY part
    {{ "UNION ALL" if not loop.last }}
{% endfor %}
) r ON r.topic = o.topic AND r.part = o.part
WHERE COALESCE(r.pos, o.next_pos) > 0
    AND NOT EXISTS (SELECT 1 FROM sink_gaps g WHERE g.topic = o.topic AND g.part = o.part AND g.first_pos = 0);
{% endif %}
