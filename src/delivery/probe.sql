-- Does to the e-mail $1 what a promotion does; the caller rolls it back.
UPDATE pending_emails SET status = 'processing', processed_at = NULL, status_reason = NULL WHERE id = $1
