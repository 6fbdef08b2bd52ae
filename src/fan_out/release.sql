-- Gives events back that were claimed and not touched, as if they had not been: the attempt too.
-- $1 events, $2 the token of each.
UPDATE notification_processing np
   SET processing_status = 'pending',
       claim_token = NULL,
       claimed_at = CASE WHEN coalesce(np.retry_count, 0) > 0 THEN np.claimed_at END,
       retry_count = greatest(coalesce(np.retry_count, 0) - 1, 0)
  FROM unnest($1::bigint[], $2::bigint[]) AS held (event_id, token)
 WHERE np.event_id = held.event_id AND np.event_id = ANY ($1)
   AND np.claim_token = held.token AND np.processing_status = 'processing'
