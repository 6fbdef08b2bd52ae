-- Requeues failed events, at most $5 of them from $4 on, by identifier. $1
-- identifiers, $2 types, $3 a pattern of the error; NULL: any. The error stays until the next attempt
-- is settled: whoever looks sees why it is here again.
WITH chosen AS MATERIALIZED (
    SELECT np.event_id, e.event_type::text AS event_type
      FROM notification_processing np
      JOIN domain_events e ON e.id = np.event_id
     WHERE np.processing_status = 'failed' AND np.event_id >= $4
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
