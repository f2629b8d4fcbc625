-- The batch summary. The aggregates of each user, from the raw events alone, up to the cuts of one snapshot.
-- Number 0, which no snapshot has, stands for all that the sink has loaded.
--
-- A user's events count up to the user's own cut, or up to the shard's for a user without a row. A repeat of
-- an event id of the same user, at most duplicate_window offsets after the one before it in its partition,
-- does not count. Each source is aggregated by itself first. Joining raw tables would multiply their rows.
WITH cuts AS (
    SELECT topic, part, next_pos FROM snapshot_cuts WHERE snapshot_id = :snapshot_id
    UNION ALL
    SELECT topic, part, next_pos FROM sink_offsets WHERE :snapshot_id = 0
),
clickstream AS (
    SELECT
        e.user_id, e.time_ms, e.duration_ms, e.event_id,
        e.pos - LAG(e.pos) OVER (PARTITION BY e.part, e.user_id, e.event_id ORDER BY e.pos) AS distance
    FROM raw_clickstream e
    JOIN cuts c ON c.topic = 'clickstream' AND c.part = e.part
    LEFT JOIN snapshot_users u ON u.snapshot_id = :snapshot_id AND u.user_id = e.user_id
    WHERE e.pos < COALESCE(u.cut_clickstream, c.next_pos)
),
searches AS (
    SELECT
        e.user_id, e.time_ms, e.event_id,
        e.pos - LAG(e.pos) OVER (PARTITION BY e.part, e.user_id, e.event_id ORDER BY e.pos) AS distance
    FROM raw_searches e
    JOIN cuts c ON c.topic = 'searches' AND c.part = e.part
    LEFT JOIN snapshot_users u ON u.snapshot_id = :snapshot_id AND u.user_id = e.user_id
    WHERE e.pos < COALESCE(u.cut_searches, c.next_pos)
),
views AS (
    SELECT
        e.user_id, e.time_ms, e.duration_ms, e.event_id,
        e.pos - LAG(e.pos) OVER (PARTITION BY e.part, e.user_id, e.event_id ORDER BY e.pos) AS distance
    FROM raw_views e
    JOIN cuts c ON c.topic = 'views' AND c.part = e.part
    LEFT JOIN snapshot_users u ON u.snapshot_id = :snapshot_id AND u.user_id = e.user_id
    WHERE e.pos < COALESCE(u.cut_views, c.next_pos)
),
by_source AS (
    SELECT
        user_id,
        COUNT(*) AS clicks, COUNT(duration_ms) AS clicks_timed, COALESCE(SUM(duration_ms), 0) AS click_ms,
        0 AS searches,
        0 AS views, 0 AS views_timed, 0 AS view_ms,
        MIN(time_ms) AS first_ms, MAX(time_ms) AS last_ms
    FROM clickstream
    WHERE event_id IS NULL OR distance IS NULL OR distance > :duplicate_window
    GROUP BY user_id
    UNION ALL
    SELECT
        user_id,
        0, 0, 0,
        COUNT(*),
        0, 0, 0,
        MIN(time_ms), MAX(time_ms)
    FROM searches
    WHERE event_id IS NULL OR distance IS NULL OR distance > :duplicate_window
    GROUP BY user_id
    UNION ALL
    SELECT
        user_id,
        0, 0, 0,
        0,
        COUNT(*), COUNT(duration_ms), COALESCE(SUM(duration_ms), 0),
        MIN(time_ms), MAX(time_ms)
    FROM views
    WHERE event_id IS NULL OR distance IS NULL OR distance > :duplicate_window
    GROUP BY user_id
)
SELECT
    user_id,
    SUM(clicks) AS clicks, SUM(clicks_timed) AS clicks_timed, SUM(click_ms) AS click_ms,
    SUM(searches) AS searches,
    SUM(views) AS views, SUM(views_timed) AS views_timed, SUM(view_ms) AS view_ms,
    MIN(first_ms) AS first_ms, MAX(last_ms) AS last_ms
FROM by_source
GROUP BY user_id
