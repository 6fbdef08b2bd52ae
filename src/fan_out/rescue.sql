-- Before the first claim: requeues claims whose worker died, and wakes events whose type has a
-- handler or is ignored by now, or was corrected. $1 stuck after (seconds), $2 attempts allowed, $3
-- these types.
WITH RECURSIVE stuck AS MATERIALIZED (
    -- A worker that is writing holds the row's lock: it is alive and is left alone.
    SELECT event_id, claim_token, coalesce(retry_count, 0) >= $2::integer - 1 AS is_last
      FROM notification_processing
     WHERE processing_status = 'processing'
       AND coalesce(claimed_at, created_at, '-infinity') < now() - make_interval(secs => $1)
     ORDER BY event_id
       FOR UPDATE SKIP LOCKED
),
judged AS (
    -- Only an event that was alone in its claim is known to be the cause.
    SELECT event_id,
           is_last AND (claim_token IS NULL OR count(*) OVER (PARTITION BY claim_token) = 1) AS is_out_of_attempts
      FROM stuck
),
rescued AS (
    UPDATE notification_processing np
       SET processing_status = CASE WHEN judged.is_out_of_attempts THEN 'failed' ELSE 'pending' END,
           completed_at = CASE WHEN judged.is_out_of_attempts THEN now() END,
           error_message = CASE WHEN np.error_message LIKE 'stuck: %' THEN np.error_message
               ELSE 'stuck: claimed by ' || coalesce(np.processor_id, 'an older job')
                    || ', which never settled it'
                    || coalesce('; last error: ' || np.error_message, '') END,
           claim_token = NULL
      FROM judged
     WHERE np.event_id = judged.event_id
    RETURNING np.processing_status
),
-- Of the events that wait for a handler, a thousand from a random place on, in an order without
-- meaning: however many wait, a run looks at no more, and in time at all.
place AS MATERIALIZED (SELECT md5(random()::text) AS start),
page AS MATERIALIZED (
    SELECT event_id
      FROM (SELECT event_id FROM notification_processing
             WHERE coalesce(unhandled_type, '') <> '' AND md5(event_id::text) >= (SELECT start FROM place)
             ORDER BY md5(event_id::text) LIMIT 1000) AS behind
     UNION ALL
    (SELECT event_id FROM notification_processing
      WHERE coalesce(unhandled_type, '') <> '' AND md5(event_id::text) < (SELECT start FROM place)
      ORDER BY md5(event_id::text) LIMIT 1000)
     LIMIT 1000
),
-- From one type to the next by their index.
unhandled AS (
    SELECT min(unhandled_type) AS event_type FROM notification_processing WHERE unhandled_type IS NOT NULL
     UNION ALL
    SELECT (SELECT min(unhandled_type) FROM notification_processing WHERE unhandled_type > event_type)
      FROM unhandled
     WHERE event_type IS NOT NULL
),
handled AS MATERIALIZED (
    -- Those whose type has a handler now, and those whose type the application has corrected.
    SELECT event_id
      FROM notification_processing
     WHERE event_id = ANY (ARRAY(
               SELECT event_id FROM notification_processing
                WHERE unhandled_type = ANY (ARRAY(SELECT event_type FROM unhandled WHERE event_type = ANY ($3)))
                UNION
               SELECT p.event_id FROM page p
                WHERE (SELECT e.event_type::text FROM domain_events e WHERE e.id = p.event_id) = ANY ($3)))
       -- Phrased to match no index: far more events may be due, or wait.
       AND num_nonnulls(unhandled_type) = 1 AND processing_status BETWEEN 'pending' AND 'pending'
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
       (SELECT count(*) FROM rescued WHERE processing_status = 'failed') AS "out_of_attempts!",
       (SELECT count(*) FROM woken) AS "woken!",
       ARRAY(SELECT event_type FROM unhandled
              WHERE event_type <> ALL ($3)
                AND EXISTS (SELECT FROM notification_processing
                             WHERE unhandled_type = event_type
                               AND event_id NOT IN (SELECT event_id FROM handled)
                               AND processing_status BETWEEN 'pending' AND 'pending'
                            -- For each type by its index, not all of them at once.
                            OFFSET 0)) AS "unhandled!",
       pg_current_xact_id_if_assigned()::text::bigint AS xid
