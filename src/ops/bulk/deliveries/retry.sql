-- Requeues what matches, as if it had never been tried: of the next $12 from $11 on, by identifier, those
-- that still match once they are locked. Reason and code stay until the next attempt, so
-- that an operator sees why it is queued again. Its e-mails are requeued with it, except those that
-- were left out of it for reasons of their own.
, page AS MATERIALIZED (
    SELECT id FROM matching WHERE id >= $11 ORDER BY id LIMIT $12
),
chosen AS MATERIALIZED (
    SELECT d.id, d.channel, d.status, d.recipient, d.endpoint_id
      FROM notification_deliveries d
     WHERE d.id = ANY (ARRAY(SELECT id FROM page)) AND d.status IN ('dead', 'uncertain')
       AND ($3::text IS NULL OR d.reason LIKE $3 OR d.code LIKE $3)
       AND ($5::text[] IS NULL OR d.status = ANY ($5))
     ORDER BY d.id
       FOR UPDATE OF d
),
changed AS (
    UPDATE notification_deliveries
       SET status = 'pending', attempts = 0, next_attempt_at = now(), requeued_at = now(), finished_at = NULL,
           lease_token = NULL, lease_until = NULL, leased_by = NULL
     WHERE id = ANY (ARRAY(SELECT id FROM chosen))
),
mails AS (
    UPDATE pending_emails
       SET status = 'processing', status_reason = NULL, processed_at = NULL
     WHERE delivery_id = ANY (ARRAY(SELECT id FROM chosen)) AND status = 'failed'
       AND (status_reason LIKE 'cancelled:%') IS NOT TRUE
    RETURNING 1
)
