-- The amounts of one kind of event by label, up to the snapshot's cuts, refunds apart. A repeat of an event id does not
-- count, by the rule of summary.sql.
{% from "profile_macros.sql" import label, members with context %}
SELECT
    label, SUM(CASE WHEN paid_events > 0 THEN 1 ELSE 0 END), SUM(paid_events), SUM(paid), SUM(refunds), SUM(refunded)
FROM (
    SELECT
        label, user_id,
        SUM(CASE WHEN amount >= 0 THEN 1 ELSE 0 END) AS paid_events,
        SUM(CASE WHEN amount >= 0 THEN amount ELSE 0 END) AS paid,
        SUM(CASE WHEN amount < 0 THEN 1 ELSE 0 END) AS refunds,
        SUM(CASE WHEN amount < 0 THEN -amount ELSE 0 END) AS refunded
    FROM (
        SELECT
            {{ label(run) }} AS label, e.user_id, e.event_id, e.amount,
            e.pos - LAG(e.pos) OVER (PARTITION BY e.part, e.user_id, e.event_id ORDER BY e.pos) AS distance
        FROM raw_{{ kind.topic }} e
        {{ members(run, "e.user_id") }}
        WHERE e.pos < u.cut_{{ kind.topic }}
    ) numbered
    WHERE event_id IS NULL OR distance IS NULL OR distance > :duplicate_window
    GROUP BY label, user_id
) by_user
GROUP BY label
