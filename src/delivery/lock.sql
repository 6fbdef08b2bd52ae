-- One worker at a time gathers what waits: two would make two digests for a person. The others wait,
-- for as long as a lock is waited for, and then gather what comes next.
SELECT pg_advisory_xact_lock($1)
