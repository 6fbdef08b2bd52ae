-- Settles the e-mail $1 as its delivery ended, or as left out for the reason $2.
UPDATE pending_emails m
   SET status = CASE WHEN $2::text IS NULL AND d.status = 'delivered' THEN 'sent' ELSE 'failed' END,
       processed_at = now(),
       status_reason = CASE WHEN $2::text IS NOT NULL THEN 'cancelled: ' || $2::text
                            WHEN d.status <> 'delivered' THEN d.status || ': ' || d.reason END
  FROM notification_deliveries d
 WHERE m.id = $1 AND m.status = 'processing' AND d.id = m.delivery_id
   AND ($2::text IS NOT NULL OR d.status NOT IN ('pending', 'sending'))
