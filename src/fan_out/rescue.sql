-- Before the first claim: puts back claims whose worker is gone, and wakes events whose type has
-- a handler or is ignored by now. $1 stuck after (seconds), $2 attempts allowed, $3 these types.
WITH stuck AS MATERIALIZED (
    -- A worker that is writing holds the row's lock: it is alive and is left alone.
    SELECT event_id
      FROM notification_processing
     WHERE processing_status = 'processing'
       AND coalesce(claimed_at, created_at, '-infinity') < now() - make_interval(secs => $1)
     ORDER BY event_id
       FOR UPDATE SKIP LOCKED
),
rescued AS (
    UPDATE notification_processing np
       SET processing_status = CASE WHEN coalesce(np.retry_count, 0) + 1 >= $2 THEN 'failed' ELSE 'pending' END,
           completed_at = CASE WHEN coalesce(np.retry_count, 0) + 1 >= $2 THEN now() END,
           error_message = CASE WHEN np.error_message LIKE 'stuck: %' THEN np.error_message
               ELSE 'stuck: claimed by ' || coalesce(np.processor_id, 'an older job')
                    || ', which never settled it'
                    || coalesce('; last error: ' || np.error_message, '') END,
           claim_token = NULL
      FROM stuck
     WHERE np.event_id = stuck.event_id
    RETURNING np.processing_status
),
handled AS MATERIALIZED (
    SELECT event_id
      FROM notification_processing
     -- BETWEEN keeps the index of what is due out of it: there is more of that.
     WHERE unhandled_type = ANY ($3) AND processing_status BETWEEN 'pending' AND 'pending'
     ORDER BY event_id
       FOR UPDATE SKIP LOCKED
),
woken AS (
    UPDATE notification_processing np
       SET unhandled_type = NULL, next_attempt_at = now()
      FROM handled
     WHERE np.event_id = handled.event_id
    RETURNING 1
)
SELECT (SELECT count(*) FROM rescued WHERE processing_status = 'pending') AS "rescued!",
       (SELECT count(*) FROM rescued WHERE processing_status = 'failed') AS "given_up!",
       (SELECT count(*) FROM woken) AS "woken!",
       coalesce((SELECT array_agg(DISTINCT unhandled_type)
                   FROM notification_processing
                  WHERE unhandled_type IS NOT NULL AND unhandled_type <> ALL ($3)
                    AND processing_status BETWEEN 'pending' AND 'pending'), '{}') AS "unhandled!"
