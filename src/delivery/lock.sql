-- One worker at a time promotes e-mails: two would make two digests for one recipient. The others wait,
-- up to lock_timeout, and then promote the next batch.
SELECT pg_advisory_xact_lock($1)
