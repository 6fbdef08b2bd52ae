-- Fails the queued e-mail $1 with the reason $2.
UPDATE pending_emails
   SET status = 'failed', processed_at = now(), status_reason = $2
 WHERE id = $1 AND status = 'pending'
RETURNING coalesce(event_type, '') AS "event_type!"
