-- Ends claims whose events were not written, and touches nothing else: whatever stood in the way of
-- their effects. Rows that another transaction holds are left to the rescue.
-- $1 events, $2 the token of each, $3 what becomes of it: `failed`, `retried`, or `released`: as if it
-- had not been claimed, the attempt too; $4 the error, or NULL; $5 seconds until it is due, or NULL.
WITH mine AS MATERIALIZED (
    SELECT np.event_id, given.outcome, given.error, given.due_after
      FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::float8[])
           AS given (event_id, token, outcome, error, due_after)
      JOIN notification_processing np ON np.event_id = given.event_id
     WHERE np.event_id = ANY ($1) AND np.claim_token = given.token
       AND np.processing_status = 'processing'
     ORDER BY np.event_id
       FOR UPDATE OF np SKIP LOCKED
)
UPDATE notification_processing np
   SET processing_status = CASE mine.outcome WHEN 'failed' THEN 'failed' ELSE 'pending' END,
       completed_at = CASE mine.outcome WHEN 'failed' THEN now() END,
       next_attempt_at = coalesce(now() + make_interval(secs => mine.due_after), np.next_attempt_at),
       error_message = coalesce(mine.error, np.error_message),
       claim_token = CASE mine.outcome WHEN 'released' THEN NULL ELSE np.claim_token END,
       claimed_at = CASE WHEN mine.outcome = 'released' AND coalesce(np.retry_count, 0) = 0
                         THEN NULL ELSE np.claimed_at END,
       retry_count = CASE mine.outcome WHEN 'released' THEN greatest(coalesce(np.retry_count, 0) - 1, 0)
                         ELSE np.retry_count END
  FROM mine
 WHERE np.event_id = mine.event_id AND np.event_id = ANY ($1)
RETURNING mine.outcome AS "end!: ClaimEnd", pg_current_xact_id()::text::bigint AS "xid!"
