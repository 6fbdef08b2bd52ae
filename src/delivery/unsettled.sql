-- The e-mails of the delivery $1 that are not settled.
SELECT id AS "id!" FROM pending_emails WHERE delivery_id = $1 AND status = 'processing' ORDER BY id
