-- Requeues what matches: of the next $12 from $11 on, by identifier, those that still do once they are
-- locked. The error stays until the next attempt is settled: whoever looks sees why it is here again.
, page AS MATERIALIZED (
    SELECT id, name FROM matching WHERE id >= $11 ORDER BY id LIMIT $12
),
chosen AS MATERIALIZED (
    SELECT np.event_id AS id
      FROM notification_processing np
     WHERE np.event_id = ANY (ARRAY(SELECT id FROM page))
       AND (np.processing_status = 'failed' OR np.processing_status = 'pending' AND np.unhandled_type IS NOT NULL)
       AND ($3::text IS NULL OR np.error_message LIKE $3)
     ORDER BY np.event_id
       FOR UPDATE
),
retried AS (
    UPDATE notification_processing
       SET processing_status = 'pending', retry_count = 0, claimed_at = NULL, claim_token = NULL,
           completed_at = NULL, unhandled_type = NULL, retried_at = now(), next_attempt_at = now()
     WHERE event_id = ANY (ARRAY(SELECT id FROM chosen))
)
