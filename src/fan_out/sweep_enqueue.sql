-- Follows sweep.sql: enqueues what is missing, and moves the mark. $2: seconds that a transaction may
-- take to commit an event whose identifier is lower than others that are there already.
, added AS (
    INSERT INTO notification_processing
        (event_id, occurred_at, thread_id, processing_status, retry_count, created_at, next_attempt_at)
    SELECT id, occurred_at, thread_id, 'pending', 0, now(), least(occurred_at, now())
      FROM missing
     ORDER BY id
    ON CONFLICT (event_id) DO NOTHING
    RETURNING 1
),
reach AS MATERIALIZED (
    SELECT max(id) AS top, count(*) = $1 AS is_full FROM page
),
moved AS (
    UPDATE notification_sweep s
       -- Of a full page one half is looked at again: its newest events may have older neighbours to come.
       SET swept_to = CASE WHEN is_full THEN (SELECT id FROM page ORDER BY id OFFSET $1 / 2 - 1 LIMIT 1)
                          ELSE mark.seen_to END,
           seen_to = top,
           seen_at = now()
      FROM mark, reach
     WHERE s.is_only
       AND (is_full OR is_anew OR top IS NOT NULL AND mark.seen_at < now() - make_interval(secs => $2))
)
SELECT (SELECT count(*) FROM added) AS added, (SELECT is_full FROM reach) AS is_full
