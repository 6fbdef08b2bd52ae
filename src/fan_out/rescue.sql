-- Before the first claim: puts back claims whose worker is gone, and wakes events whose type has
-- a handler or is ignored by now, or was corrected. $1 stuck after (seconds), $2 attempts allowed, $3
-- these types.
WITH stuck AS MATERIALIZED (
    -- A worker that is writing holds the row's lock: it is alive and is left alone.
    SELECT event_id, claim_token, coalesce(retry_count, 0) >= $2::integer - 1 AS is_last
      FROM notification_processing
     WHERE processing_status = 'processing'
       AND coalesce(claimed_at, created_at, '-infinity') < now() - make_interval(secs => $1)
     ORDER BY event_id
       FOR UPDATE SKIP LOCKED
),
judged AS (
    -- Only one that was alone in its claim is known to be at fault.
    SELECT event_id,
           is_last AND (claim_token IS NULL OR count(*) OVER (PARTITION BY claim_token) = 1) AS is_given_up
      FROM stuck
),
rescued AS (
    UPDATE notification_processing np
       SET processing_status = CASE WHEN judged.is_given_up THEN 'failed' ELSE 'pending' END,
           completed_at = CASE WHEN judged.is_given_up THEN now() END,
           error_message = CASE WHEN np.error_message LIKE 'stuck: %' THEN np.error_message
               ELSE 'stuck: claimed by ' || coalesce(np.processor_id, 'an older job')
                    || ', which never settled it'
                    || coalesce('; last error: ' || np.error_message, '') END,
           claim_token = NULL
      FROM judged
     WHERE np.event_id = judged.event_id
    RETURNING np.processing_status
),
waiting AS MATERIALIZED (
    SELECT event_id
      FROM notification_processing
     -- BETWEEN keeps the index of what is due out of it: there is more of that.
     WHERE unhandled_type IS NOT NULL AND processing_status BETWEEN 'pending' AND 'pending'
),
handled AS MATERIALIZED (
    -- By the event's present type: the application may have corrected it.
    SELECT event_id
      FROM notification_processing
     WHERE event_id = ANY (ARRAY(
               SELECT w.event_id FROM waiting w
                WHERE (SELECT e.event_type::text FROM domain_events e WHERE e.id = w.event_id) = ANY ($3)))
       AND unhandled_type IS NOT NULL AND processing_status BETWEEN 'pending' AND 'pending'
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
                    AND event_id NOT IN (SELECT event_id FROM handled)
                    AND processing_status BETWEEN 'pending' AND 'pending'), '{}') AS "unhandled!",
       pg_current_xact_id_if_assigned()::text::bigint AS xid
