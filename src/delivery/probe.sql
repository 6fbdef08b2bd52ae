-- What a promotion does to the mail $1, to be undone.
UPDATE pending_emails SET status = 'processing', processed_at = NULL, status_reason = NULL WHERE id = $1
