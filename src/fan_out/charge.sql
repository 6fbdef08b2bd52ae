-- Settles one event that the database would not take, and nothing else: whatever stood in the way
-- of its effects is not touched. $1 event, $2 token, $3 error, $4 seconds until the next attempt.
UPDATE notification_processing
   SET processing_status = CASE WHEN $4::float8 IS NULL THEN 'failed' ELSE 'pending' END,
       completed_at = CASE WHEN $4::float8 IS NULL THEN now() END,
       next_attempt_at = coalesce(now() + make_interval(secs => $4::float8), next_attempt_at),
       error_message = $3
 WHERE event_id = $1 AND claim_token = $2 AND processing_status = 'processing'
