-- Requeues failed events, and pending ones of an unhandled type that was corrected to one of $6: at most
-- $5 of them from $4 on, by identifier. $1 identifiers, $2 types, $3 a pattern of the error; NULL: any.
-- The error stays until the next attempt is settled: whoever looks sees why it is here again.
WITH chosen AS MATERIALIZED (
    SELECT np.event_id, e.event_type::text AS event_type
      FROM (
               SELECT event_id FROM notification_processing
                WHERE processing_status = 'failed' AND event_id >= $4
               UNION ALL
               -- BETWEEN keeps the index of what is due out of it: there is more of that.
               SELECT event_id FROM notification_processing
                WHERE processing_status BETWEEN 'pending' AND 'pending' AND unhandled_type IS NOT NULL
                  AND event_id >= $4) AS found
      JOIN notification_processing np USING (event_id)
      JOIN domain_events e ON e.id = np.event_id
     WHERE (np.processing_status = 'failed'
            OR np.processing_status = 'pending' AND np.unhandled_type IS NOT NULL
               AND e.event_type::text = ANY ($6))
       AND ($1::bigint[] IS NULL OR np.event_id = ANY ($1))
       AND ($2::text[] IS NULL OR e.event_type::text = ANY ($2))
       AND ($3::text IS NULL OR np.error_message LIKE $3)
     ORDER BY np.event_id
     LIMIT $5
       FOR UPDATE OF np
),
retried AS (
    UPDATE notification_processing
       SET processing_status = 'pending', retry_count = 0, claimed_at = NULL, claim_token = NULL,
           completed_at = NULL, unhandled_type = NULL, retried_at = now(), next_attempt_at = now()
     WHERE event_id = ANY (ARRAY(SELECT event_id FROM chosen))
)
SELECT event_type, array_agg(event_id ORDER BY event_id)
  FROM chosen
 GROUP BY event_type
