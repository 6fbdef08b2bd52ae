WITH batch AS (
    SELECT id, {occurred} AS known_at, coalesce({occurred}, now()) AS occurred_at,
           CASE WHEN pg_typeof(thread_id) = 'uuid'::regtype THEN thread_id::text::uuid END AS thread_id
      FROM domain_events
     WHERE id >= $1 ORDER BY id LIMIT $2
), added AS (
    INSERT INTO notification_processing
        (event_id, occurred_at, thread_id, next_attempt_at, retry_count, created_at, processing_status, completed_at, error_message)
    -- now(), not the event's time, starts its retries; but the oldest are to be claimed first.
    SELECT b.id, b.occurred_at, b.thread_id, least(b.occurred_at, now()), 0, now(),
           CASE WHEN late THEN 'failed' ELSE 'pending' END,
           CASE WHEN late THEN now() END,
           CASE WHEN late THEN 'expired: older than the age limit when the job was adopted' END
      FROM batch b
      CROSS JOIN LATERAL (SELECT b.occurred_at < now() - make_interval(secs => $3)) AS age (late)
     WHERE NOT EXISTS (SELECT FROM notification_processing p WHERE p.event_id = b.id)
       -- Processed, and its row pruned since. What occurred later has the identifier of
       -- another event.
       AND NOT EXISTS (SELECT FROM notification_pruned r
                        WHERE r.event_ids @> b.id::bigint
                          AND (b.known_at <= r.pruned_at) IS NOT FALSE)
     ORDER BY b.id
    ON CONFLICT (event_id) DO NOTHING
    RETURNING processing_status
)
SELECT (SELECT max(id) FROM batch),
       (SELECT count(*) FROM added WHERE processing_status = 'pending'),
       (SELECT count(*) FROM added WHERE processing_status = 'failed')
